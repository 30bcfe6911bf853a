"""Cells as the lists of what they express. A matrix stays as sparse as it is; only a batch is padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from anndata.abc import CSRDataset
from scipy import sparse
from torch import Tensor

from scgx._core import by_rows, dense_rows

InputScale = Literal["counts", "log1p"]
_TOTAL = 1e4
_LARGEST_LOG = 30.0
_PCA_ROWS = 4000


@dataclass(frozen=True)
class Block:
    """Some cells: genes and log values of each, one after the other."""

    start: np.ndarray
    """Where each cell starts, and the end of the last one."""
    genes: np.ndarray
    values: np.ndarray
    unit: np.ndarray
    """Value of a single count, which tells the sequencing depth."""
    metadata: np.ndarray
    """Cells × columns, 0 unknown."""

    @property
    def lengths(self) -> np.ndarray:
        """Genes that each cell expresses."""
        return np.diff(self.start)

    def batch(self, cells: np.ndarray | None = None) -> dict[str, Tensor]:
        """The cells (or some of them) padded to the longest: what :class:`scgx.nn.XTrimoGene` takes."""
        cells = np.arange(len(self.lengths)) if cells is None else cells
        lengths = self.lengths[cells]
        there = np.arange(max(lengths.max(), 1)) < lengths[:, None]
        at = (self.start[cells][:, None] + np.arange(there.shape[1]))[there]
        genes, values = np.zeros(there.shape, dtype=np.int64), np.zeros(there.shape, dtype=np.float32)
        genes[there], values[there] = self.genes[at], self.values[at]
        arrays = {"genes": genes, "values": values, "lengths": lengths.astype(np.int64)}
        arrays |= {"unit": self.unit[cells], "metadata": self.metadata[cells]}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Cells:
    """Rows of a matrix, read as :class:`Block`.

    Parameters
    ----------
    X
        Cells × genes; CSR in memory or backed is read as it is.
    columns
        Number in the vocabulary of each gene of ``X``; −1 leaves it out.
    input_scale
        ``"counts"``: values become log1p(10,000 × count / sum of the cell). ``"log1p"``: they are taken as they are.
    metadata
        Category of each cell in each column, 0 unknown.
    """

    def __init__(self, X: Any, columns: np.ndarray, input_scale: InputScale, metadata: np.ndarray) -> None:
        self._X, self._columns, self._scale, self._metadata = by_rows(X), columns, input_scale, metadata

    def __len__(self) -> int:
        """Cells."""
        return int(self._X.shape[0])

    def read(self, rows: np.ndarray) -> Block:
        """Read some rows, in this order.

        Raises
        ------
        ValueError
            If values are negative or not finite, do not look like ``input_scale``, or a row has no gene of the vocabulary.
        """
        matrix = _csr(self._X, rows)
        _check(matrix.data, self._scale)
        start, row = matrix.indptr, np.repeat(np.arange(len(rows)), np.diff(matrix.indptr))
        values, unit = _normalized(matrix.data, row, len(rows), self._scale)
        genes = self._columns[matrix.indices]
        kept = (genes >= 0) & (values > 0)
        lengths = np.bincount(row[kept], minlength=len(rows))
        if not lengths.all():
            raise ValueError(
                f"row {int(rows[lengths.argmin()])} expresses no gene that the model can see; drop such cells, for example "
                "with `scanpy.pp.filter_cells(adata, min_genes=1)`."
            )
        start = np.concatenate([[0], np.cumsum(lengths)])
        return Block(start, genes[kept].astype(np.int64), values[kept], unit, self._metadata[rows])


def _csr(X: Any, rows: np.ndarray) -> sparse.csr_matrix:
    if sparse.issparse(X):
        block = X[rows]
    elif isinstance(X, CSRDataset):
        order, inverse = np.unique(rows, return_inverse=True)  # backed data want increasing rows
        block = X[order][inverse]
    else:
        block = dense_rows(X, rows)
    return sparse.csr_matrix(block, dtype=np.float32)


def _check(values: np.ndarray, scale: InputScale) -> None:
    if not len(values):
        return
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("the matrix has negative, NaN or infinite values; give counts, or log1p of normalised counts.")
    if scale == "log1p" and values.max() > _LARGEST_LOG:
        raise ValueError(
            f"`input_scale='log1p'`, but the matrix holds {values.max():.0f}, which no log value reaches; give "
            "`input_scale='counts'`, or the layer with log values."
        )
    if scale == "counts" and np.mean(values != np.round(values)) > 0.5:
        raise ValueError(
            "`input_scale='counts'`, but most values are no whole numbers; give the layer with counts, or "
            "`input_scale='log1p'` if they are log-normalised."
        )


def _normalized(values: np.ndarray, row: np.ndarray, n_rows: int, scale: InputScale) -> tuple[np.ndarray, np.ndarray]:
    """Log values, and the value of a single count in each row."""
    if scale == "log1p":
        least = np.full(n_rows, np.inf, dtype=np.float32)
        np.minimum.at(least, row[values > 0], values[values > 0])
        return values, np.where(np.isfinite(least), least, 0).astype(np.float32)
    total = np.bincount(row, weights=values, minlength=n_rows).clip(min=1e-8)
    unit = _TOTAL / total
    return np.log1p(values * unit[row]).astype(np.float32), np.log1p(unit).astype(np.float32)


@dataclass(frozen=True)
class Summary:
    """One pass over all cells."""

    lengths: np.ndarray
    """Genes that each cell expresses."""
    detection: np.ndarray
    """Share of the cells that express each gene."""
    mean: np.ndarray
    """Mean of each gene over them."""
    sample: np.ndarray
    """Up to about 100,000 values from all over the data."""

    @classmethod
    def of(cls, cells: Cells, rows: np.ndarray, n_genes: int, *, block_rows: int = 2048) -> Summary:
        """Read the rows block by block."""
        count, total = np.zeros(n_genes), np.zeros(n_genes)
        lengths, sample = [], []
        n_blocks = -(-len(rows) // block_rows)
        for start in range(0, len(rows), block_rows):
            block = cells.read(rows[start : start + block_rows])
            count += np.bincount(block.genes, minlength=n_genes)
            total += np.bincount(block.genes, weights=block.values, minlength=n_genes)
            lengths.append(block.lengths)
            sample.append(block.values[:: max(1, len(block.values) * n_blocks // 100_000)])
        values = np.concatenate(sample)
        mean = np.where(count > 0, total / count.clip(min=1), total.sum() / count.sum())
        return cls(np.concatenate(lengths), count / len(rows), mean, values)


def gene_loadings(cells: Cells, rows: np.ndarray, n_genes: int, n_components: int, seed: int) -> np.ndarray:
    """Loadings of standardised genes on principal components over at most 4,000 cells, genes × components.

    The squared length of a gene's loadings is the share of its variance that the components explain.
    """
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(seed)
    chosen = rows if len(rows) <= _PCA_ROWS else np.sort(rng.choice(rows, _PCA_ROWS, replace=False))
    block = cells.read(chosen)
    X = sparse.csr_matrix((block.values, block.genes, block.start), shape=(len(chosen), n_genes))
    mean = np.asarray(X.mean(axis=0)).ravel()
    variance = np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2
    X = sparse.csr_matrix(X @ sparse.diags(1 / np.sqrt(variance.clip(min=1e-3))))
    k = min(n_components, 50, len(chosen) - 1, n_genes - 1)
    pca = PCA(k, svd_solver="arpack", random_state=seed).fit(X)
    return np.asarray(pca.components_.T * np.sqrt(pca.explained_variance_), dtype=np.float32)
