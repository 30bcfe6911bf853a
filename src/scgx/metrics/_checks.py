"""What the metrics ask of their arguments: wrong shapes are errors, what cannot be scored is NaN."""

from __future__ import annotations

import numpy as np

from scgx._core import require_finite


def paired_rows(
    true: np.ndarray, predicted: np.ndarray, names: tuple[str, str] = ("true", "predicted")
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 matrices of one shape, n × m; a single profile must be written as one row."""
    true, predicted = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if true.ndim != 2 or true.shape != predicted.shape:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must be matrices of one shape, conditions × genes; found {true.shape} and "
            f"{predicted.shape}; give both the same rows and genes (one profile: `profile[None]`)"
        )
    return true, predicted


def cell_matrix(cells: np.ndarray, argument: str, *, allow_nan: bool = False) -> np.ndarray:
    """Cells × genes as float64, without missing values unless allowed."""
    matrix = np.asarray(cells)
    if matrix.ndim != 2 or matrix.dtype == object:
        raise ValueError(
            f"`{argument}` must be a dense array of cells × genes; found {type(cells).__name__} of shape "
            f"{getattr(cells, 'shape', ())}; call `.toarray()` on a sparse matrix"
        )
    matrix = matrix.astype(np.float64, copy=False)
    require_finite(matrix, f"`{argument}`", allow_nan=allow_nan)
    return matrix


def paired_cells(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of cells, of any numbers, over the same genes."""
    true, predicted = cell_matrix(true, "true"), cell_matrix(predicted, "predicted")
    if true.shape[1] != predicted.shape[1]:
        raise ValueError(
            f"`true` has {true.shape[1]} genes and `predicted` {predicted.shape[1]}; give both the same genes in the "
            "same order"
        )
    return true, predicted
