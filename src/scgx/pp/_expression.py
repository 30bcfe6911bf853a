"""Expression on the logarithmic scale, read row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scgx._core import by_rows, dense_rows, require_finite

from ._controls import blocks, log1p_base, log_mean
from ._scale import InputScale, Scale

ReactomeScale = Literal["counts", "linear", "log1p", "log2", "log10", "log_fc"]
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Expression:
    """Samples × genes, dense or sparse, in memory or backed."""

    X: Any
    scale: Scale | None
    """``None``: the values are fold changes, taken as they are."""
    what: str

    @property
    def n_genes(self) -> int:
        """Number of columns."""
        return self.X.shape[1]

    @property
    def unit(self) -> str:
        """Unit of the responses."""
        return "as given" if self.scale is None else "log2"

    def log_mean(self, rows: np.ndarray) -> np.ndarray:
        """Logarithm of the mean over rows, NaN left out: (n_genes,)."""
        if self.scale is None:
            raise TypeError("fold changes have no controls")
        return log_mean(self.X, rows, self.scale, self.what)

    def mean_response(self, rows: np.ndarray, reference: np.ndarray, norm: str) -> np.ndarray:
        """Mean over rows of the difference from a reference, or of its size for ``"l1"``; NaN left out: (n_genes,)."""
        total, count = np.zeros(self.n_genes), np.zeros(self.n_genes)
        for block in self._log_blocks(rows):
            response = block - reference
            measured = ~np.isnan(response)
            size = np.abs(response) if norm == "l1" else response
            total += np.where(measured, size, 0).sum(axis=0)
            count += measured.sum(axis=0)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def _log_blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        if self.scale is not None:
            yield from (self.scale.log(block) for _, block in blocks(self.X, rows, self.scale, self.what))
            return
        for start in range(0, len(rows), _BLOCK_ROWS):
            block_rows = rows[start : start + _BLOCK_ROWS]
            block = dense_rows(self.X, block_rows).astype(np.float64)
            require_finite(block, self.what, allow_nan=True, rows=block_rows)
            yield block


def expression(X: Any, adata: AnnData, input_scale: ReactomeScale, what: str) -> Expression:
    """Prepare a matrix of any scale.

    Parameters
    ----------
    X
        Samples × genes.
    adata
        Its object, in which scanpy may have recorded the base of log1p.
    input_scale
        As in :func:`scgx.pp.reactome`.
    what
        How to call the matrix in messages.

    Raises
    ------
    ValueError
        If the scale is not known, or counts are negative, missing or all zero in a sample.
    """
    if input_scale not in get_args(ReactomeScale):
        raise ValueError(
            f"input_scale={input_scale!r} must be said, one of {', '.join(map(repr, get_args(ReactomeScale)))}: counts, "
            "normalised values and their logarithms are compared with controls, 'log_fc' are fold changes already"
        )
    X = by_rows(X)
    if input_scale == "log_fc":
        return Expression(X, None, what)
    if input_scale == "counts":
        return Expression(_normalised(X, what), Scale("log1p", 2.0), what)
    scale: InputScale = input_scale
    return Expression(X, Scale(scale, 2.0, log1p_base(adata)), what)


def _normalised(X: Any, what: str) -> Any:
    """Return log(x + 1) of counts brought to the median library size; sparse stays sparse."""
    counts = X.to_memory() if hasattr(X, "to_memory") else X
    counts = counts.astype(np.float32) if sparse.issparse(counts) else dense_rows(counts)
    values: Any = counts.data if sparse.issparse(counts) else counts
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ValueError(
            f"input_scale='counts' needs counts >= 0 without gaps; {what} has negative, infinite or missing values: say "
            "the scale that it has ('log1p', 'log2', 'log_fc', …) or pass the layer of the counts"
        )
    empty = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel() == 0)
    if len(empty):
        raise ValueError(
            f"{what} has {len(empty)} samples without a single count, the first is row {empty[0]}; drop them"
        )
    sample = AnnData(counts)
    sc.pp.normalize_total(sample)
    sc.pp.log1p(sample)
    return sample.X
