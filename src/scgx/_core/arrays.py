"""Dense blocks of whatever AnnData holds."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import zarr
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset
from scipy import sparse

from .errors import require_key

Selection = np.ndarray | slice
_CHUNK_ROWS = 1024


def dense_rows(X: Any, rows: Selection | None = None, columns: np.ndarray | None = None) -> np.ndarray:
    """Read some rows (and columns) as a dense float32 array of its own.

    Parameters
    ----------
    X
        ndarray, masked array, CSR/CSC matrix or array, backed dense or sparse data set (h5ad or zarr), dask array.
    rows
        Rows in the order wanted, repeats allowed; ``None`` for all.
    columns
        Columns in the order wanted; ``None`` for all.

    Returns
    -------
    C-contiguous float32 block that shares no memory with ``X``; masked entries are NaN.

    Raises
    ------
    TypeError
        If ``X`` is none of the types above.

    Notes
    -----
    Only the block is made dense. Rows of a backed CSC need the whole (sparse) matrix in memory: see :func:`by_rows`.
    """
    if hasattr(X, "compute"):  # dask, which need not be installed
        lazy = X if rows is None else X[rows]
        return dense_rows((lazy if columns is None else lazy[:, columns]).compute())
    shape = getattr(X, "shape", ())
    if len(shape) != 2:
        raise TypeError(f"expected a matrix of observations × variables, found {type(X).__name__} of shape {shape}")
    row, column = _normalize(rows, X.shape[0]), _normalize(columns, X.shape[1])
    if isinstance(X, CSRDataset | CSCDataset):
        return _densify(_backed_sparse(X, row, column))
    if isinstance(X, h5py.Dataset | zarr.Array):
        return _backed_dense(X, row, column)
    if sparse.issparse(X):
        return _densify(X[row][:, column] if X.format == "csr" else X.tocsc()[:, column][row])
    if isinstance(X, np.ndarray):
        return _from_ndarray(X, row, column)
    raise TypeError(f"cannot read rows of {type(X).__name__}: convert it to a numpy array or a CSR matrix")


def _normalize(selection: Selection | None, size: int) -> Selection:
    """Make a slice of what is contiguous, which every backend reads fastest."""
    if selection is None:
        return slice(0, size)
    index = np.arange(size)[selection]
    if not index.size:
        return slice(0, 0)
    if np.array_equal(index, np.arange(index[0], index[0] + index.size)):
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


def _densify(block: Any) -> np.ndarray:
    return np.asarray(block.astype(np.float32).toarray(order="C"))


def _backed_sparse(X: Any, row: Selection, column: Selection) -> Any:
    if isinstance(X, CSRDataset):
        return X[row][:, column]
    return X[:, column][row]


def _backed_dense(X: Any, row: Selection, column: Selection) -> np.ndarray:
    index = np.arange(X.shape[0])[row]
    # h5py takes increasing indices without repeats
    order, inverse = np.unique(index, return_inverse=True)
    width = len(np.arange(X.shape[1])[column])
    block = np.empty((len(order), width), dtype=np.float32)
    for start in range(0, len(order), _CHUNK_ROWS):
        chunk = _normalize(order[start : start + _CHUNK_ROWS], X.shape[0])
        block[start : start + _CHUNK_ROWS] = X[chunk, :][:, column]
    return block if isinstance(row, slice) else block[inverse]


def _from_ndarray(X: np.ndarray, row: Selection, column: Selection) -> np.ndarray:
    if isinstance(row, np.ndarray) and isinstance(column, np.ndarray):
        row = row[:, None]  # the outer product of both, not pairs
    block = X[row, column]
    if isinstance(block, np.ma.MaskedArray):
        block = np.ma.filled(block.astype(np.float32), np.nan)
    dense = np.ascontiguousarray(block, dtype=np.float32)
    # a caller may write to the block, never to the user's matrix
    return dense.copy() if np.may_share_memory(dense, X) else np.asarray(dense)


def by_rows(X: Any) -> Any:
    """Prepare a matrix for many calls of :func:`dense_rows`.

    Parameters
    ----------
    X
        As in :func:`dense_rows`.

    Returns
    -------
    CSC, of which each row costs a pass over the whole matrix, as CSR in memory; anything else as it is.
    """
    if isinstance(X, CSCDataset):
        X = X.to_memory()
    return X.tocsr() if sparse.issparse(X) else X


def require_finite(X: np.ndarray, what: str, *, allow_nan: bool = False, rows: np.ndarray | None = None) -> None:
    """Raise if a matrix holds infinite (or missing) values.

    Parameters
    ----------
    X
        Dense matrix.
    what
        How to call it in the message, for example ``"target.X"``.
    allow_nan
        Whether NaN stands for a value not measured.
    rows
        Row numbers in the whole matrix, if ``X`` is a block of it.

    Raises
    ------
    ValueError
        With the number of such values and the position of the first.
    """
    bad = np.isinf(X) if allow_nan else ~np.isfinite(X)
    n_bad = int(np.count_nonzero(bad))
    if not n_bad:
        return
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(bad)), X.shape))
    if rows is not None:
        row = int(rows[row])
    kind = "infinite" if allow_nan else "NaN or infinite"
    raise ValueError(
        f"{what} has {n_bad} {kind} values, the first at (row, column) ({row}, {column}); "
        "replace them or drop these observations or genes"
    )


def layer_or_x(adata: AnnData, layer: str | None) -> Any:
    """Return ``adata.X``, or a layer.

    Parameters
    ----------
    adata
        Annotated data.
    layer
        Key of ``adata.layers``; ``None`` means ``adata.X``.

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If ``adata.X`` is empty.
    """
    if layer is not None:
        require_key(adata.layers.keys(), layer, ".layers", "layer")
        return adata.layers[layer]
    X = adata.X
    if X is None:
        raise ValueError(f"adata.X is None; say layer=, one of {sorted(k for k in adata.layers if k)}")
    return X
