from __future__ import annotations

from typing import Self

import numpy as np

from scgx._core.similarity import tanimoto
from scgx.estimators import _ridge_solver as dual
from scgx.estimators._base import group_folds
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_features import dose_similarity, perturbation_labels, require_features
from scgx.estimators._response_mean import MeanDelta

#: similarity of two contexts: how much one tells of a perturbation's effect in the other
_CONTEXT = 0.5


class ConditionKernelRidge(BaseResponse):
    r"""Kernel ridge regression on fingerprint × log dose × context.

    :math:`k = \text{Tanimoto}(x, x') \cdot 2^{-|\Delta \log_{10} \text{dose}|} \cdot (1 \text{ in the same context, }
    \tfrac12 \text{ in another})`, a product of positive definite kernels, on what departs from the mean change of the
    context. The penalty (one for all genes, or one a gene) is chosen by cross-validation that keeps the conditions of a
    perturbation together.

    Parameters
    ----------
    n_folds
        Folds of the inner cross-validation.
    seed
        Seed of these folds.

    References
    ----------
    Ralaivola et al. (2005), Graph kernels for chemical informatics, Neural Networks (Tanimoto kernel).
    """

    def __init__(self, n_folds: int = 5, seed: int = 0) -> None:
        self.n_folds = n_folds
        self.seed = seed

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Choose penalties, solve. See :meth:`BaseResponse.fit`."""
        self.mean_, self.conditions_ = MeanDelta().fit(conditions, delta), conditions
        specific = delta - self.mean_.predict(conditions)
        K = self._kernel(conditions)
        folds = group_folds(len(K), perturbation_labels(conditions), n_folds=self.n_folds, seed=self.seed)
        centred = dual.center_kernel(K)
        grid = dual.PENALTIES * max(float(np.trace(centred)) / len(K), 1e-12)
        self.penalties_ = grid[dual.choose_penalties(dual.target_errors(K, specific, folds, grid))]
        self.weights_ = dual.dual_coefficients(centred, specific - specific.mean(axis=0), self.penalties_)
        self.intercept_ = specific.mean(axis=0) - K.mean(axis=0) @ self.weights_
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean change and what similar perturbations add, conditions × genes."""
        return self.mean_.predict(conditions) + self._kernel(conditions) @ self.weights_ + self.intercept_

    def _kernel(self, conditions: Conditions) -> np.ndarray:
        known = self.conditions_
        context = np.where(conditions.context[:, None] == known.context, 1.0, _CONTEXT)
        K = tanimoto(require_features(conditions), require_features(known))
        return K * dose_similarity(conditions, known) * context
