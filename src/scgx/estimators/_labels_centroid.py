from __future__ import annotations

from typing import Self

import numpy as np
from scipy import sparse
from scipy.special import softmax

from scgx._core.similarity import unit_rows
from scgx.estimators._labels import BaseLabelClassifier, Matrix

#: of the correlations in the softmax; it changes no label, only how sharp the probabilities are
_SHARPNESS = 10.0


class CentroidLabels(BaseLabelClassifier):
    """The class whose mean profile correlates best with the row (Pearson over genes).

    With ``batch`` each study is first centred, gene by gene, on its own mean: what a platform or laboratory adds to a
    gene in all its samples falls away, as long as the studies hold about the same classes. Probabilities are a softmax
    of ten times the correlation: an order, not a calibrated probability.
    """

    def fit(self, X: Matrix, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Average the (centred) rows of each class. See :meth:`BaseLabelClassifier.fit`."""
        self.classes_, code = np.unique(y, return_inverse=True)
        member = _indicator(code, len(self.classes_))
        of_batch, mean = _batch_means(X, batch)
        total = np.asarray(member.T @ X, dtype=np.float64) if isinstance(X, np.ndarray) else (member.T @ X).toarray()
        self.centroids_ = unit_rows((total - (member.T @ of_batch) @ mean) / np.bincount(code)[:, None])
        return self

    def predict_proba(self, X: Matrix, *, batch: np.ndarray | None = None) -> np.ndarray:
        """See :meth:`BaseLabelClassifier.predict_proba`; ``batch`` centres the studies of ``X``."""
        return softmax(_SHARPNESS * self.correlation(X, batch=batch), axis=1)

    def correlation(self, X: Matrix, *, batch: np.ndarray | None = None) -> np.ndarray:
        """Correlation of each row with each centroid; 0 for a row without variation. CSR is not made dense."""
        of_batch, mean = _batch_means(X, batch)
        n_genes = X.shape[1]
        square = X.multiply(X).sum(axis=1) if sparse.issparse(X) else np.einsum("ij,ij->i", X, X, dtype=np.float64)
        # |x - m - their mean|² = |x|² - 2 x·m + |m|² - genes (x̄ - m̄)²
        cross = of_batch.multiply(np.asarray(X @ mean.T)).sum(axis=1)
        own = np.asarray(of_batch @ (mean**2).sum(axis=1))
        level = np.ravel(X.mean(axis=1)) - np.asarray(of_batch @ mean.mean(axis=1))
        variation = np.ravel(square) - 2 * np.ravel(cross) + own - n_genes * level**2
        dot = np.asarray(X @ self.centroids_.T) - of_batch @ (mean @ self.centroids_.T)
        flat = variation <= 1e-9 * np.maximum(np.ravel(square), 1e-30)
        return np.where(flat[:, None], 0, dot / np.sqrt(np.where(flat, 1, variation))[:, None])


def _indicator(code: np.ndarray, n: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(code)), (np.arange(len(code)), code)), shape=(len(code), n))


def _batch_means(X: Matrix, batch: np.ndarray | None) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Rows × studies indicator and the mean of each study; without studies one mean of zero."""
    if batch is None:
        return _indicator(np.zeros(X.shape[0], dtype=int), 1), np.zeros((1, X.shape[1]))
    names, code = np.unique(batch, return_inverse=True)
    member = _indicator(code, len(names))
    total = member.T @ X
    dense = total.toarray() if sparse.issparse(total) else np.asarray(total, dtype=np.float64)
    return member, dense / np.bincount(code)[:, None]
