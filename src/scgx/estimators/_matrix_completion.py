from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Self

import numpy as np
from sklearn.utils.extmath import randomized_svd

from scgx.estimators._base import BaseTranslator, group_folds
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads

_ROWS_AT_ONCE = 4096  # bounds the Gram matrices held
_ITERATIONS_TO_CHOOSE = 4  # near enough to compare ranks and penalties
_TOLERANCE = 1e-3  # relative change of the loadings at which alternation stops


class MatrixCompletion(BaseTranslator):
    """Low-rank completion of the joined matrix [source | target], the way ToxCompl fills DrugMatrix.

    The joined, scaled n × (p + m) matrix Z is written as UVᵀ that minimises Σ_observed (Z − UVᵀ)² + λ(‖U‖² + ‖V‖²),
    by alternating ridge regressions on the observed entries. A new row gets its factors by ridge regression of its
    observed source values on the source part of V; the target part of V turns them into the prediction.

    Parameters
    ----------
    rank
        Numbers of factors to choose from.
    penalty
        Penalties λ to choose from, relative to the largest singular value of Z; 1 removes everything.
    n_iterations
        Alternations at most; where nothing is missing, the singular value decomposition they start from is the
        solution.
    n_folds
        Folds of the inner cross-validation, grouped.
    seed
        Seed of folds and decomposition.

    References
    ----------
    Cong et al. (2024), Completion of the DrugMatrix toxicogenomics database using ToxCompl, bioRxiv; Hastie et al.
    (2015), Matrix completion and low-rank SVD via fast alternating least squares, JMLR 16:3367.
    """

    def __init__(
        self,
        *,
        rank: tuple[int, ...] = (5, 10, 20, 40),
        penalty: tuple[float, ...] = (0.01, 0.03, 0.1),
        n_iterations: int = 20,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.rank = rank
        self.penalty = penalty
        self.n_iterations = n_iterations
        self.n_folds = n_folds
        self.seed = seed

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Choose rank and penalty, then complete all rows. See :meth:`BaseTranslator.fit`."""
        self.scaler_, self.target_scaler_ = GeneScaler("pareto").fit(X), GeneScaler("pareto").fit(Y)
        joined = np.hstack([self.scaler_.transform(X), self.target_scaler_.transform(Y)])
        observed = np.hstack([np.isfinite(X), np.isfinite(Y)])
        choices = list(product(self.rank, self.penalty))
        with limit_threads(len(X)):
            if len(choices) > 1:
                choices = [self._choose(joined, observed, X.shape[1], groups, choices)]
            loadings, self.penalty_ = next(self._solutions(joined, observed, choices, self.n_iterations))
        self.rank_ = loadings.shape[1]
        self.source_loadings_, self.target_loadings_ = np.split(loadings, [X.shape[1]])
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        factors = ridge_factors(self.scaler_.transform(X), np.isfinite(X), self.source_loadings_, self.penalty_)
        scaler = self.target_scaler_
        return factors @ self.target_loadings_.T * scaler.scale_ + scaler.center_

    def _choose(
        self,
        joined: np.ndarray,
        observed: np.ndarray,
        p: int,
        groups: np.ndarray | None,
        choices: list[tuple[int, float]],
    ) -> tuple[int, float]:
        """Rank and penalty that predict the targets of left-out groups best from their sources."""
        errors, n_iterations = np.zeros(len(choices)), min(self.n_iterations, _ITERATIONS_TO_CHOOSE)
        for train, test in group_folds(len(joined), groups, n_folds=self.n_folds, seed=self.seed):
            source, target = np.split(joined[test], [p], axis=1)
            known_source, known_target = np.split(observed[test], [p], axis=1)
            solutions = self._solutions(joined[train], observed[train], choices, n_iterations)
            for i, (loadings, penalty) in enumerate(solutions):
                factors = ridge_factors(source, known_source, loadings[:p], penalty)
                residual = (factors @ loadings[p:].T - target) * self.target_scaler_.scale_
                errors[i] += np.square(residual, where=known_target, out=np.zeros_like(residual)).sum()
        return choices[int(errors.argmin())]

    def _solutions(
        self, values: np.ndarray, observed: np.ndarray, choices: list[tuple[int, float]], n_iterations: int
    ) -> Iterator[tuple[np.ndarray, float]]:
        """Loadings (p + m × rank) and absolute penalty for each rank and relative penalty."""
        most = min(max(rank for rank, _ in choices), *values.shape)
        left, singular, _ = randomized_svd(values, most, random_state=self.seed)
        for rank, relative in choices:
            penalty = float(max(relative * singular[0], 1e-6))
            factors = left[:, :rank] * np.sqrt(np.maximum(singular[:rank] - penalty, 0))
            loadings = ridge_factors(values.T, observed.T, factors, penalty)
            for _ in range(n_iterations - 1):
                previous = loadings
                factors = ridge_factors(values, observed, loadings, penalty)
                loadings = ridge_factors(values.T, observed.T, factors, penalty)
                if np.linalg.norm(loadings - previous) <= _TOLERANCE * np.linalg.norm(previous):
                    break
            yield loadings, penalty


def ridge_factors(values: np.ndarray, observed: np.ndarray, loadings: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge regression of each row on the loadings, on the row's observed entries alone.

    Parameters
    ----------
    values
        Rows × columns, 0 where not observed.
    observed
        Rows × columns, bool.
    loadings
        Columns × rank.
    penalty
        Ridge penalty.

    Returns
    -------
    Rows × rank, float32.
    """
    right = values @ loadings
    ridge = penalty * np.eye(loadings.shape[1], dtype=np.float32)
    complete = observed.all(axis=1)
    factors = np.empty_like(right)
    factors[complete] = np.linalg.solve(loadings.T @ loadings + ridge, right[complete].T).T
    gaps = np.flatnonzero(~complete)
    if len(gaps) == 0:
        return factors
    i, j = np.triu_indices(loadings.shape[1])
    products = loadings[:, i] * loadings[:, j]
    for start in range(0, len(gaps), _ROWS_AT_ONCE):
        rows = gaps[start : start + _ROWS_AT_ONCE]
        gram = np.empty((len(rows), *ridge.shape), dtype=np.float32)
        gram[:, i, j] = gram[:, j, i] = observed[rows].astype(np.float32) @ products
        factors[rows] = np.linalg.solve(gram + ridge, right[rows, :, None])[:, :, 0]
    return factors
