"""Controls and their mean on the logarithmic scale, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from anndata import AnnData

from scgx._core import dense_rows, require_key

from ._scale import Scale

_BLOCK_ROWS = 512


def log1p_base(adata: AnnData) -> float:
    """Base that :func:`scanpy.pp.log1p` recorded, or e."""
    # scanpy stores None for the natural logarithm, and h5ad may drop it
    base = adata.uns.get("log1p", {}).get("base")
    return float(np.e if base is None else base)


def controls(adata: AnnData, condition_key: str, control: object) -> np.ndarray:
    """Mask of the control rows; raise if there is none."""
    require_key(adata.obs, condition_key, ".obs", "condition_key")
    is_control = (adata.obs[condition_key] == control).to_numpy(dtype=bool, na_value=False)
    if not is_control.any():
        require_key(adata.obs[condition_key].dropna().unique().tolist(), control, f".obs[{condition_key!r}]", "control")
    return is_control


def log_mean(X: Any, rows: np.ndarray, scale: Scale, what: str) -> np.ndarray:
    """Return the logarithm of the mean over rows, leaving out NaN: (n_vars,)."""
    total = np.zeros(X.shape[1])
    count = np.zeros(X.shape[1])
    for _, block in blocks(X, rows, scale, what):
        total += np.nansum(scale.to_average(block), axis=0)
        count += np.count_nonzero(~np.isnan(block), axis=0)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return scale.log_average(mean)


def blocks(X: Any, rows: np.ndarray, scale: Scale, what: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield row numbers and checked dense values."""
    for start in range(0, len(rows), _BLOCK_ROWS):
        block_rows = rows[start : start + _BLOCK_ROWS]
        block = dense_rows(X, block_rows).astype(np.float64)
        scale.check(block, what, block_rows)
        yield block_rows, block
