from __future__ import annotations

from typing import Self

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import svds

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._importance import linear_importance
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads

#: up to this size a full singular value decomposition costs next to nothing
_SMALL = 8


class PLS(BaseTranslator):
    """Partial least squares regression, the number of components chosen by grouped cross-validation.

    Parameters
    ----------
    n_components
        Numbers of components to choose from; those that the rows cannot carry are cut to what they can.
    n_folds
        Folds of the inner cross-validation, grouped.
    seed
        Seed of the folds.

    Notes
    -----
    Source genes are Pareto-scaled, target genes centred. A missing target value counts as the gene's mean.
    Components are nested: one fit a fold scores every number of them. Where there are more genes than rows, genes
    are replaced by their principal scores, which leaves the result as it is (the method is invariant to rotation)
    and makes the cost one of rows.

    References
    ----------
    Wold, Sjöström & Eriksson (2001), PLS-regression: a basic tool of chemometrics, Chemom. Intell. Lab. Syst. 58:109.
    """

    def __init__(
        self,
        n_components: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 18, 25),
        *,
        n_folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
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
        """Choose the number of components, then fit on all rows. See :meth:`BaseTranslator.fit`."""
        self.scaler_ = GeneScaler("pareto").fit(X)
        self.intercept_ = column_mean(Y)
        scaled = self.scaler_.transform(X)
        centred = np.nan_to_num(Y - self.intercept_, copy=False, nan=0.0)
        folds = group_folds(len(X), groups, n_folds=self.n_folds, seed=self.seed)
        with limit_threads(len(X)):
            x, y = _principal_scores(scaled), _principal_scores(centred)
            most = min(x.shape[1], *(len(train) - 1 for train, _ in folds)) if y.shape[1] else 0
            candidates = sorted({min(k, most) for k in self.n_components})
            self.n_components_ = candidates[int(np.argmin(_errors(x, y, folds, candidates)))]
            rotations, _ = _fit_components(x, y, self.n_components_)
            latent = x @ rotations
            power = np.maximum(np.square(latent).sum(axis=0), 1e-30)
            self.loadings_ = ((latent / power).T @ centred).astype(np.float32)
            # from rotations of the scores to rotations of the genes
            self.rotations_ = (scaled.T @ ((x / np.square(x).sum(axis=0)) @ rotations)).astype(np.float32)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        return (self.scaler_.transform(X) @ self.rotations_) @ self.loadings_ + self.intercept_

    def gene_importance(self, X: np.ndarray) -> np.ndarray:
        """How far each source gene moves the predictions of these rows, p, in target units.

        The norm of the gene's coefficients over targets, times the root mean square deviation of the gene from its
        training mean over ``X`` (rows × p, NaN allowed).
        """
        return linear_importance(self.rotations_, self.loadings_, self.scaler_.transform(X))


def _principal_scores(values: np.ndarray) -> np.ndarray:
    """Principal component scores that keep all of the centred ``values`` (n × p): n × rank, float64."""
    values = values.astype(np.float64)
    wide = values.shape[1] > values.shape[0]
    variances, vectors = eigh(values @ values.T if wide else values.T @ values)
    kept = variances > 1e-10 * max(variances[-1], 1e-30)
    return vectors[:, kept] * np.sqrt(variances[kept]) if wide else values @ vectors[:, kept]


def _fit_components(x: np.ndarray, y: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations of ``x`` and loadings of ``y``, both centred; components in columns.

    The kernel algorithm of Dayal & MacGregor (1997, J. Chemometrics 11:73): the same components as NIPALS, which
    hardly converges where two of them explain equally much, from deflating XᵀY alone.
    """
    covariance = x.T @ y
    rotations, loadings = np.zeros((x.shape[1], n_components)), np.zeros((y.shape[1], n_components))
    directions = np.zeros_like(rotations)
    exhausted = 1e-10 * np.linalg.norm(covariance)
    for k in range(n_components):
        if np.linalg.norm(covariance) <= exhausted:
            break
        weight = _leading_direction(covariance)
        rotations[:, k] = weight - rotations[:, :k] @ (directions[:, :k].T @ weight)
        latent = x @ rotations[:, k]
        power = latent @ latent
        directions[:, k] = x.T @ latent / power
        loadings[:, k] = covariance.T @ rotations[:, k] / power
        covariance -= power * np.outer(directions[:, k], loadings[:, k])
    return rotations, loadings


def _leading_direction(matrix: np.ndarray) -> np.ndarray:
    """Left singular vector of the largest singular value."""
    if min(matrix.shape) <= _SMALL:
        return np.linalg.svd(matrix, full_matrices=False)[0][:, 0]
    left, _, _ = svds(matrix, k=1, tol=1e-6, v0=np.ones(min(matrix.shape)))
    return left[:, 0]


def _errors(
    x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], candidates: list[int]
) -> np.ndarray:
    """Held-out squared error of each number of components."""
    errors = np.zeros(len(candidates))
    for train, test in folds:
        x_mean, y_mean = x[train].mean(axis=0), y[train].mean(axis=0)
        rotations, loadings = _fit_components(x[train] - x_mean, y[train] - y_mean, candidates[-1])
        latent, truth = (x[test] - x_mean) @ rotations, y[test] - y_mean
        for i, k in enumerate(candidates):
            errors[i] += np.square(truth - latent[:, :k] @ loadings[:, :k].T).sum()
    return errors
