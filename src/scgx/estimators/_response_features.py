from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import clone

from scgx._core.similarity import tanimoto
from scgx.estimators._base import BaseTranslator
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_mean import MeanDelta


class FeatureRegression(BaseResponse):
    """Any translator as a regression of the response on features of the perturbation, log dose and context.

    Parameters
    ----------
    translator
        Regressor of arrays, such as ridge regression or the forest; conditions of one perturbation are kept together
        when it tunes itself.
    """

    def __init__(self, translator: BaseTranslator) -> None:
        self.translator = translator

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Fit on what departs from the mean change of the context. See :meth:`BaseResponse.fit`."""
        self.mean_ = MeanDelta().fit(conditions, delta)
        self.contexts_ = np.unique(np.asarray(conditions.context, dtype=str))
        specific = delta - self.mean_.predict(conditions)
        self.translator_ = clone(self.translator).fit(
            self._features(conditions), specific.astype(np.float32), groups=perturbation_labels(conditions)
        )
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean change and what the features add, conditions × genes."""
        return self.mean_.predict(conditions) + self.translator_.predict(self._features(conditions))

    def _features(self, conditions: Conditions) -> np.ndarray:
        features = require_features(conditions)
        blocks = [features]
        if conditions.log_dose is not None:
            blocks.append(conditions.log_dose[:, None])
        if len(self.contexts_) > 1:
            blocks.append(np.asarray(conditions.context, dtype=str)[:, None] == self.contexts_)
        return np.hstack(blocks).astype(np.float32)


class TanimotoNeighbors(BaseResponse):
    r"""k nearest training perturbations by Tanimoto similarity, shrunk to the mean change.

    :math:`\hat d = \bar d + \sum_i s_i (d_i - \bar d_i) / (\lambda + \sum_i s_i)` over the k most similar training
    conditions, where :math:`s_i = \sum_j \min(x_j, x_{ij}) / \sum_j \max(x_j, x_{ij})` of non-negative features
    (Jaccard for bits), times :math:`2^{-|\Delta \log_{10} \text{dose}|}`, and :math:`\bar d` is the mean change of the
    context. Unlike plain kNN it says "as the others" where nothing is similar. With gene sets as features it is the
    nearest-neighbour method for genes.

    Parameters
    ----------
    n_neighbors
        k.
    shrinkage
        λ, in units of a perfectly similar neighbour.
    """

    def __init__(self, n_neighbors: int = 10, shrinkage: float = 1.0) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Keep the training responses. See :meth:`BaseResponse.fit`."""
        require_features(conditions)
        self.mean_ = MeanDelta().fit(conditions, delta)
        self.conditions_, self.specific_ = conditions, delta - self.mean_.predict(conditions)
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Shrunken mean of the neighbours, conditions × genes."""
        similarity = tanimoto(require_features(conditions), require_features(self.conditions_))
        similarity *= dose_similarity(conditions, self.conditions_)
        predicted = self.mean_.predict(conditions)
        for row, s in enumerate(similarity):
            nearest = np.argsort(-s, kind="stable")[: self.n_neighbors]
            predicted[row] += s[nearest] @ self.specific_[nearest] / (self.shrinkage + s[nearest].sum())
        return predicted


def require_features(conditions: Conditions) -> np.ndarray:
    """Features as float64."""
    if conditions.features is None:
        raise ValueError("this method needs `conditions.features`; found None. Give fingerprints or gene sets.")
    return np.asarray(conditions.features, dtype=np.float64)


def perturbation_labels(conditions: Conditions) -> np.ndarray:
    """One label a set of names: conditions of one perturbation are never split."""
    return np.array(["\n".join(names) for names in conditions.perturbations])


def dose_similarity(a: Conditions, b: Conditions, base: float = 0.5) -> np.ndarray:
    """Times ``base`` with every tenfold difference in dose; 1 where doses are not given."""
    if a.log_dose is None or b.log_dose is None:
        return np.ones((len(a), len(b)))
    return base ** np.abs(a.log_dose[:, None] - b.log_dose)


def context_similarity(a: Conditions, b: Conditions) -> np.ndarray:
    """1 in the same context, one half in another: how much one tells of a perturbation's effect in the other."""
    return np.where(a.context[:, None] == b.context, 1.0, 0.5)
