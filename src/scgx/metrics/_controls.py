from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scgx._core import examples


def split_controls(cells: ArrayLike, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Divide control cells into a half for the truth and a half for the prediction.

    A measured change is perturbed − control and a predicted one starts from control cells too. Where these are the
    same cells, their noise stands in both changes with one sign and counts as agreement: predictions then seem better
    than replicates. Give the first half to the measured change, the second to everything that predicts.

    Parameters
    ----------
    cells
        Names or row numbers of the control cells, at least two, none twice. To divide within batches or cell types,
        call it once for each.
    seed
        Seed of the division.

    Returns
    -------
    Names or row numbers for the truth and for the prediction, each in their order of before; sizes differ by at most 1.

    Raises
    ------
    ValueError
        If there are fewer than two cells or one occurs twice.

    Examples
    --------
    >>> import numpy as np
    >>> from scgx.metrics import require_disjoint_controls, split_controls
    >>> for_truth, for_prediction = split_controls(np.arange(100), seed=0)
    >>> require_disjoint_controls(for_truth, for_prediction)
    """
    names = np.asarray(cells)
    if names.ndim != 1 or len(names) < 2 or len(np.unique(names)) < len(names):
        raise ValueError(
            f"`cells` must be at least two different names or row numbers of control cells; found shape {names.shape} "
            f"with {len(np.unique(names))} different"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    first, second = (np.sort(half) for half in np.array_split(order, 2))
    return names[first], names[second]


def require_disjoint_controls(true: ArrayLike, predicted: ArrayLike) -> None:
    """Raise if the measured and the predicted changes rest on the same control cells.

    Parameters
    ----------
    true, predicted
        Names or row numbers of the control cells of either side.

    Raises
    ------
    ValueError
        If a cell is on both sides.
    """
    shared = np.intersect1d(np.asarray(true), np.asarray(predicted))
    if shared.size:
        raise ValueError(
            f"{shared.size} control cells are used both for the measured and for the predicted changes: "
            f"{examples(shared)}; their noise would count as agreement: divide them with "
            "`scgx.metrics.split_controls`"
        )
