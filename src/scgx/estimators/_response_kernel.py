from __future__ import annotations

from typing import Self

import numpy as np

from scgx._core.similarity import tanimoto
from scgx.estimators import _ridge_solver as dual
from scgx.estimators._base import group_folds
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_features import (
    context_similarity,
    dose_similarity,
    perturbation_labels,
    require_features,
)
from scgx.estimators._response_mean import MeanDelta


class ConditionKernelRidge(BaseResponse):
    r"""Kernel ridge regression on fingerprint × log dose × context.

    :math:`k = \text{Tanimoto}(x, x') \cdot b^{|\Delta \log_{10} \text{dose}|} \cdot (1 \text{ in the same context, }
    \tfrac12 \text{ in another})`, a product of positive definite kernels, on what departs from the mean change of the
    context. Its target are the principal components of these departures: the penalty is one for all or one a component,
    whichever cross-validation prefers, so that components which are noise shrink to the mean change. Cross-validation, which
    keeps the conditions of a perturbation together, chooses b too.

    Parameters
    ----------
    n_folds
        Folds of the inner cross-validation.
    seed
        Seed of these folds.
    dose_bases
        b to choose from: what is left of the similarity at a tenfold dose.

    References
    ----------
    Ralaivola et al. (2005), Graph kernels for chemical informatics, Neural Networks (Tanimoto kernel).
    """

    def __init__(self, n_folds: int = 5, seed: int = 0, *, dose_bases: tuple[float, ...] = (0.5, 0.7, 0.9)) -> None:
        self.n_folds = n_folds
        self.seed = seed
        self.dose_bases = dose_bases

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Choose b and penalties, solve. See :meth:`BaseResponse.fit`."""
        self.mean_, self.conditions_ = MeanDelta().fit(conditions, delta), conditions
        left, size, axes = np.linalg.svd(delta - self.mean_.predict(conditions), full_matrices=False)
        scores = left * size
        folds = group_folds(len(scores), perturbation_labels(conditions), n_folds=self.n_folds, seed=self.seed)
        self.dose_base_ = self._choose_base(scores, folds)
        K = self._similarity(conditions) * dose_similarity(conditions, conditions, self.dose_base_)
        grid = _penalties(K)
        penalties = grid[dual.choose_penalties(dual.target_errors(K, scores, folds, grid))]
        weights = dual.dual_coefficients(dual.center_kernel(K), scores - scores.mean(axis=0), penalties)
        self.weights_ = weights @ axes
        self.intercept_ = scores.mean(axis=0) @ axes - K.mean(axis=0) @ self.weights_
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean change and what similar perturbations add, conditions × genes."""
        K = self._similarity(conditions) * dose_similarity(conditions, self.conditions_, self.dose_base_)
        return self.mean_.predict(conditions) + K @ self.weights_ + self.intercept_

    def _choose_base(self, scores: np.ndarray, folds: dual.Folds) -> float:
        """With the least held-out error under one penalty for all components."""
        conditions = self.conditions_
        if conditions.log_dose is None or np.ptp(conditions.log_dose) == 0:
            return self.dose_bases[0]
        similarity, covariance = self._similarity(conditions), scores @ scores.T
        kernels = [similarity * dose_similarity(conditions, conditions, base) for base in self.dose_bases]
        errors = [dual.kernel_errors(K, covariance, folds, _penalties(K)).min() for K in kernels]
        return self.dose_bases[int(np.argmin(errors))]

    def _similarity(self, conditions: Conditions) -> np.ndarray:
        """To the training conditions, but for dose."""
        known = self.conditions_
        return tanimoto(require_features(conditions), require_features(known)) * context_similarity(conditions, known)


def _penalties(K: np.ndarray) -> np.ndarray:
    return dual.PENALTIES * max(float(np.trace(dual.center_kernel(K))) / len(K), 1e-12)
