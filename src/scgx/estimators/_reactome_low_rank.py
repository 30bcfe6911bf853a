from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._matrix_completion import ridge_factors
from scgx.estimators._reactome_conditions import BaseReactome, ReactomeConditions, drug_profiles, one_hot
from scgx.estimators._reactome_mean import ReactomeMean


class LowRankReactome(BaseReactome):
    """Low-rank completion of the drugs × (organ, gene) matrix of what departs from the design mean.

    Genes are first brought to principal components over all conditions; the drugs × (organ, component) matrix, with
    blocks missing, is then written as UVᵀ by alternating ridge regressions on what was measured
    (:func:`ridge_factors`, as in :class:`MatrixCompletion`). A drug measured nowhere gets the design mean.

    Parameters
    ----------
    rank
        Number of factors.
    n_components
        Principal components of the genes at most.
    penalty
        Ridge penalty of both factors, relative to the largest singular value of the matrix.
    n_iterations
        Alternations.
    """

    def __init__(
        self, *, rank: int = 10, n_components: int = 100, penalty: float = 0.3, n_iterations: int = 10
    ) -> None:
        self.rank = rank
        self.n_components = n_components
        self.penalty = penalty
        self.n_iterations = n_iterations

    def fit(self, conditions: ReactomeConditions, values: np.ndarray) -> Self:
        """Complete the matrix. See :meth:`BaseReactome.fit`."""
        from sklearn.utils.extmath import randomized_svd

        self.mean_ = ReactomeMean().fit(conditions, values)
        self.drugs_, self.organs_ = np.unique(conditions.drug), np.unique(conditions.organ)
        residuals = values - self.mean_.predict(conditions)
        n = min(self.n_components, *residuals.shape)
        self.axes_ = randomized_svd(residuals, n, random_state=0)[2].astype(np.float32)
        blocks, measured = drug_profiles(conditions, residuals @ self.axes_.T, self.drugs_, self.organs_)
        matrix = blocks.transpose(1, 0, 2).reshape(len(self.drugs_), -1)
        observed = np.repeat(measured.T, n, axis=1)

        left, singular, right = randomized_svd(matrix, min(self.rank, *matrix.shape), random_state=0)
        penalty = float(max(self.penalty * singular[0], 1e-6))
        loadings = (right.T * np.sqrt(singular)).astype(np.float32)
        for _ in range(self.n_iterations):
            factors = ridge_factors(matrix, observed, loadings, penalty)
            loadings = ridge_factors(matrix.T, observed.T, factors, penalty)
        factors = ridge_factors(matrix, observed, loadings, penalty)
        self.completed_ = (factors @ loadings.T).reshape(len(self.drugs_), len(self.organs_), n)
        return self

    def predict(self, conditions: ReactomeConditions) -> np.ndarray:
        """Design mean and completed matrix, conditions × genes."""
        drug, organ = one_hot(conditions.drug, self.drugs_), one_hot(conditions.organ, self.organs_)
        known = drug.any(axis=1) & organ.any(axis=1)
        predicted = self.mean_.predict(conditions)
        cells = self.completed_[drug[known].argmax(axis=1), organ[known].argmax(axis=1)]
        predicted[known] += cells @ self.axes_
        return predicted
