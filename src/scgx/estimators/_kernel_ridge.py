from __future__ import annotations

from typing import Literal, Self

import numpy as np
from scipy.linalg import eigh

from scgx._core.similarity import squared_distances
from scgx.estimators import _ridge_solver as dual
from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._importance import gradient_importance, linear_importance
from scgx.estimators._primal_solver import feature_coefficients, feature_errors
from scgx.estimators._scaler import GeneScaler, Scaling

#: rows used to choose scaling and kernel width; penalties are chosen on all rows
_ROWS_TO_CHOOSE_KERNEL = 1000


class KernelRidge(BaseTranslator):
    """Ridge regression with everything chosen by grouped cross-validation: scaling, kernel width, penalties.

    Parameters
    ----------
    kernel
        ``"linear"`` (ridge regression in dual form: the cost grows with rows, not with genes) or ``"rbf"``.
    scalings
        Gene scalings to choose from, see :class:`GeneScaler`.
    bandwidths
        Widths γ of the RBF kernel exp(−γ d²/d̃²) to choose from, in units of the median squared distance d̃².
    penalties
        Penalties α to choose from, relative to the mean diagonal of the centred kernel; ``None``: 13 values from
        1e-4 to 100. One for all targets or one a target is kept, whichever predicts left-out folds better.
    n_folds
        Folds of the inner cross-validation, grouped.
    max_rows
        With more rows than this the kernel is approximated from ``n_inducing`` rows (Nyström).
    n_inducing
        Rows that span the approximation.
    seed
        Seed of folds and inducing rows.

    Notes
    -----
    Cost of a fit on n rows, p source and m target genes: n²p + folds · penalties · n² m / folds operations and
    about 3 n² + 2 n m numbers of memory. Missing target values are handled exactly in the final fit and count as
    the gene's mean while penalties are chosen.

    References
    ----------
    Saunders, Gammerman & Vovk (1998), Ridge regression learning algorithm in dual variables, ICML;
    Williams & Seeger (2001), Using the Nyström method to speed up kernel machines, NeurIPS.
    """

    def __init__(
        self,
        *,
        kernel: Literal["linear", "rbf"] = "rbf",
        scalings: tuple[Scaling, ...] = ("pareto", "standard"),
        bandwidths: tuple[float, ...] = (0.1, 0.3, 1.0, 2.0),
        penalties: np.ndarray | None = None,
        n_folds: int = 5,
        max_rows: int = 5000,
        n_inducing: int = 1000,
        seed: int = 0,
    ) -> None:
        self.kernel = kernel
        self.scalings = scalings
        self.bandwidths = bandwidths
        self.penalties = penalties
        self.n_folds = n_folds
        self.max_rows = max_rows
        self.n_inducing = n_inducing
        self.seed = seed

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Choose scaling, width and penalties, then fit on all rows. See :meth:`BaseTranslator.fit`."""
        grid = dual.PENALTIES if self.penalties is None else np.asarray(self.penalties, dtype=float)
        mean = column_mean(Y)
        centred = Y - mean
        filled = np.nan_to_num(centred, nan=0.0) if np.isnan(centred).any() else centred
        folds = group_folds(len(X), groups, n_folds=self.n_folds, seed=self.seed)
        scaling, bandwidth = self._choose_kernel(X, filled, groups, grid[::2])
        self.scaler_ = GeneScaler(scaling).fit(X)
        scaled = self.scaler_.transform(X)
        self.gamma_ = bandwidth / _median_distance(scaled) if self.kernel == "rbf" else 0.0
        if len(X) > self.max_rows:
            intercept = self._fit_inducing(scaled, filled, folds, grid)
        else:
            intercept = self._fit_dual(scaled, centred, filled, folds, grid)
        self.intercept_ = (mean + intercept).astype(np.float32)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        return self._gram(self.scaler_.transform(X), self.basis_) @ self.weights_ + self.intercept_

    def gene_importance(self, X: np.ndarray) -> np.ndarray:
        """How far each source gene moves the predictions of these rows, p, in target units.

        The norm of the gene's coefficients (linear kernel) or of the gradient (RBF) over targets, times the root mean
        square deviation of the gene from its training mean over ``X`` (rows × p, NaN allowed).
        """
        scaled = self.scaler_.transform(X)
        if self.kernel == "linear":
            return linear_importance(self.basis_.T, self.weights_, scaled)
        return gradient_importance(scaled, self.basis_, self.weights_, float(self.gamma_))

    def _gram(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        if self.kernel == "linear":
            return A @ B.T
        return np.exp(-np.float32(self.gamma_) * squared_distances(A, B))

    def _choose_kernel(
        self, X: np.ndarray, Y: np.ndarray, groups: np.ndarray | None, grid: np.ndarray
    ) -> tuple[Scaling, float]:
        """Scaling and width with the least held-out error under one penalty for all targets."""
        bandwidths = self.bandwidths if self.kernel == "rbf" else (0.0,)
        if len(self.scalings) * len(bandwidths) == 1:
            return self.scalings[0], bandwidths[0]
        rows = np.arange(len(X))
        if len(rows) > _ROWS_TO_CHOOSE_KERNEL:
            rows = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:_ROWS_TO_CHOOSE_KERNEL])
        X, Y = X[rows], Y[rows].astype(np.float32)
        covariance = (Y @ Y.T).astype(np.float64)
        folds = group_folds(
            len(rows), None if groups is None else np.asarray(groups)[rows], n_folds=self.n_folds, seed=self.seed
        )
        best: tuple[float, Scaling, float] = (np.inf, self.scalings[0], bandwidths[0])
        for scaling in self.scalings:
            scaled = GeneScaler(scaling).fit_transform(X)
            distances = squared_distances(scaled) if self.kernel == "rbf" else None
            for bandwidth in bandwidths:
                K = scaled @ scaled.T if distances is None else np.exp(-bandwidth / _median(distances) * distances)
                K = K.astype(np.float64)
                penalties = grid * _unit(np.trace(dual.center_kernel(K)) / len(K))
                error = dual.kernel_errors(K, covariance, folds, penalties).min()
                best = min(best, (float(error), scaling, bandwidth))
        return best[1], best[2]

    def _fit_dual(
        self, scaled: np.ndarray, centred: np.ndarray, filled: np.ndarray, folds: dual.Folds, grid: np.ndarray
    ) -> np.ndarray:
        K = self._gram(scaled, scaled).astype(np.float64)
        column = K.mean(axis=0)
        centred_K = dual.center_kernel(K)
        grid = grid * _unit(np.trace(centred_K) / len(K))
        self.penalties_ = grid[dual.choose_penalties(dual.target_errors(K, filled, folds, grid))]
        self.basis_ = scaled
        gaps = np.isnan(centred).any(axis=0)
        # columns with gaps are solved too, and replaced: a selection would copy the whole target
        self.weights_ = dual.dual_coefficients(centred_K, filled, self.penalties_)
        intercept = np.zeros(filled.shape[1])
        if gaps.any():
            self.weights_[:, gaps], intercept[gaps] = dual.masked_dual_coefficients(
                centred_K, centred[:, gaps], self.penalties_[gaps]
            )
        # the weights of a target sum to zero, so centring a query's kernel row is a constant a target
        return intercept - column @ self.weights_

    def _fit_inducing(self, scaled: np.ndarray, filled: np.ndarray, folds: dual.Folds, grid: np.ndarray) -> np.ndarray:
        rows = np.random.default_rng(self.seed).permutation(len(scaled))[: self.n_inducing]
        self.basis_ = scaled[np.sort(rows)]
        values, vectors = eigh(self._gram(self.basis_, self.basis_).astype(np.float64))
        kept = values > 1e-6 * values.max()
        whiten = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
        features = self._gram(scaled, self.basis_) @ whiten
        grid = grid * _unit(np.var(features, axis=0).sum())
        self.penalties_ = grid[dual.choose_penalties(feature_errors(features, filled, folds, grid))]
        coefficients = feature_coefficients(features, filled, self.penalties_)
        self.weights_ = whiten @ coefficients
        return filled.mean(axis=0) - features.mean(axis=0) @ coefficients


def _unit(variance: float) -> float:
    """Unit of penalties; a source that does not vary at all gets one so large that the mean is left exactly."""
    return variance if variance > 1e-12 else 1e6


def _median(distances: np.ndarray) -> float:
    """Median squared distance between different rows; 1 where all rows are equal."""
    return float(np.median(distances[np.triu_indices_from(distances, 1)])) or 1.0


def _median_distance(scaled: np.ndarray) -> float:
    step = -(-len(scaled) // _ROWS_TO_CHOOSE_KERNEL)
    return _median(squared_distances(scaled[::step]))
