from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin

from scgx.estimators._labels import Matrix, SklearnLabels

_N_GENES = 2000
_N_COMPONENTS = 50


class VariableGenes(TransformerMixin, BaseEstimator):
    """Keep the genes that vary most over the training rows; dense or CSR.

    Parameters
    ----------
    n_genes
        How many, at most.
    """

    def __init__(self, n_genes: int = _N_GENES) -> None:
        self.n_genes = n_genes

    def fit(self, X: Matrix, y: np.ndarray | None = None) -> Self:
        """Rank genes by variance; genes that do not vary are dropped unless none does."""
        if sparse.issparse(X):
            from sklearn.utils.sparsefuncs import mean_variance_axis

            variance = mean_variance_axis(X, axis=0)[1]
        else:
            variance = np.var(X, axis=0, dtype=np.float64)
        varying = max(int(np.count_nonzero(variance > 0)), 1)
        top = np.argsort(-variance, kind="stable")[: min(self.n_genes, varying)]
        self.kept_ = np.sort(top)
        return self

    def transform(self, X: Matrix) -> Matrix:
        """The genes kept, in their order."""
        return X[:, self.kept_]


class LogisticLabels(SklearnLabels):
    """Multinomial logistic regression, L2, on the 2,000 most variable genes in units of their standard deviation.

    Parameters
    ----------
    penalty
        1 / C of :class:`sklearn.linear_model.LogisticRegression`.
    seed
        Seed of the solver.
    """

    def __init__(self, penalty: float = 1.0, seed: int = 0) -> None:
        self.penalty = penalty
        self.seed = seed

    def fit(self, X: Matrix, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Select, scale and fit on these rows alone. See :meth:`BaseLabelClassifier.fit`."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1 / self.penalty, class_weight="balanced", max_iter=500, random_state=self.seed)
        return self._fit(_scaled(X, model), X, y)


class NeighborLabels(SklearnLabels):
    """Vote of the nearest training rows in 50 principal components, weighted by 1 / distance.

    Components are those of the 2,000 most variable genes of the training rows, scaled. There are never more
    neighbours than an average class has rows.

    Parameters
    ----------
    n_neighbors
        How many rows vote, at most.
    seed
        Seed of the decomposition.
    """

    def __init__(self, n_neighbors: int = 15, seed: int = 0) -> None:
        self.n_neighbors = n_neighbors
        self.seed = seed

    def fit(self, X: Matrix, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Select, scale, decompose and keep these rows. See :meth:`BaseLabelClassifier.fit`."""
        from sklearn.decomposition import PCA
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline

        n_genes = len(VariableGenes().fit(X).kept_)
        # the solver for sparse matrices gives fewer components than the matrix has columns
        arpack = sparse.issparse(X) and n_genes > 1
        n_components = max(1, min(_N_COMPONENTS, X.shape[0] - 1, n_genes - arpack))
        solver = "arpack" if arpack else "auto"
        neighbors = max(1, min(self.n_neighbors, X.shape[0] // len(np.unique(y))))
        model = make_pipeline(
            PCA(n_components, svd_solver=solver, random_state=self.seed),
            KNeighborsClassifier(neighbors, weights="distance"),
        )
        return self._fit(_scaled(X, model), X, y)


def _scaled(X: Matrix, model: Any) -> Any:
    """Pipeline of gene selection, scaling (without centring where zeros must stay zeros) and the model."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(VariableGenes(), StandardScaler(with_mean=not sparse.issparse(X)), model)
