from __future__ import annotations

from typing import Self

import numpy as np
from scipy.linalg import eigh
from threadpoolctl import threadpool_limits

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._scaler import GeneScaler

#: below this many rows threads cost more than they bring
_ROWS_FOR_THREADS = 1000


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
        with threadpool_limits(1 if len(X) < _ROWS_FOR_THREADS else None):
            x, y = _principal_scores(scaled), _principal_scores(centred)
            most = min(x.shape[1], *(len(train) - 1 for train, _ in folds)) if y.shape[1] else 0
            candidates = sorted({min(k, most) for k in self.n_components})
            self.n_components_ = candidates[int(np.argmin(_errors(x, y, folds, candidates)))]
            _, rotations, _ = _fit_components(x, y, self.n_components_)
            latent = x @ rotations
            self.loadings_ = ((latent / np.square(latent).sum(axis=0)).T @ centred).astype(np.float32)
            # from rotations of the scores to rotations of the genes
            self.rotations_ = (scaled.T @ ((x / np.square(x).sum(axis=0)) @ rotations)).astype(np.float32)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        return (self.scaler_.transform(X) @ self.rotations_) @ self.loadings_ + self.intercept_


def _principal_scores(values: np.ndarray) -> np.ndarray:
    """Principal component scores that keep all of the centred ``values`` (n × p): n × rank, float64."""
    values = values.astype(np.float64)
    wide = values.shape[1] > values.shape[0]
    variances, vectors = eigh(values @ values.T if wide else values.T @ values)
    kept = variances > 1e-10 * max(variances[-1], 1e-30)
    return vectors[:, kept] * np.sqrt(variances[kept]) if wide else values @ vectors[:, kept]


def _fit_components(x: np.ndarray, y: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of ``x``, rotations of ``x`` and loadings of ``y`` (a row each, components in columns)."""
    from sklearn.cross_decomposition import PLSRegression

    if n_components == 0:
        return x.mean(axis=0), np.zeros((x.shape[1], 0)), np.zeros((y.shape[1], 0))
    model = PLSRegression(n_components, scale=False, copy=True).fit(x, y)
    return x.mean(axis=0), model.x_rotations_, model.y_loadings_


def _errors(
    x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], candidates: list[int]
) -> np.ndarray:
    """Held-out squared error of each number of components."""
    errors = np.zeros(len(candidates))
    if len(candidates) == 1:
        return errors
    for train, test in folds:
        center, rotations, loadings = _fit_components(x[train], y[train], candidates[-1])
        latent, truth = (x[test] - center) @ rotations, y[test] - y[train].mean(axis=0)
        for i, k in enumerate(candidates):
            errors[i] += np.square(truth - latent[:, :k] @ loadings[:, :k].T).sum()
    return errors
