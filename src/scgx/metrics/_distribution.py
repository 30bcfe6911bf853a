from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ._checks import paired_cells

#: Memory of one block of pairwise distances, in MiB
_BLOCK = 64
#: Cells that the median distance is taken over
_MEDIAN_CELLS = 1000


def e_distance(true: np.ndarray, predicted: np.ndarray, *, squared: bool = False) -> float:
    r"""Energy distance between two sets of cells.

    :math:`2\,\mathbb{E}\lVert X - Y \rVert - \mathbb{E}\lVert X - X' \rVert - \mathbb{E}\lVert Y - Y' \rVert` with
    Euclidean norms (Székely and Rizzo 2013), each mean over pairs of *different* cells: unbiased, so that sets of
    different sizes compare and real replicates score 0 on average.

    Parameters
    ----------
    true
        Measured cells × genes (or components), n × m.
    predicted
        Predicted cells, any number, × the same genes.
    squared
        Use :math:`\lVert \cdot \rVert^2`, the E-distance of scPerturb (Peidli et al. 2024). This is twice the squared
        distance of the two means (without its sampling bias) and blind to everything else: a set of equal cells at
        the right mean scores as well as real cells.

    Returns
    -------
    0 for equal distributions (it may fall slightly below 0), in the unit of the data; NaN with fewer than two cells on
    either side. Noise of many genes hides small differences: principal components fitted on training cells are
    more sensitive.

    Raises
    ------
    ValueError
        If a value is missing or the genes differ.
    """
    true, predicted = paired_cells(true, predicted)
    if min(len(true), len(predicted)) < 2:
        return float("nan")
    if squared:
        difference = true.mean(axis=0) - predicted.mean(axis=0)
        noise = sum(float(cells.var(axis=0, ddof=1).sum()) / len(cells) for cells in (true, predicted))
        return 2 * (float(difference @ difference) - noise)
    between = _mean_over_pairs(true, predicted, _identity)
    return 2 * between - _mean_over_pairs(true, None, _identity) - _mean_over_pairs(predicted, None, _identity)


def mmd(true: np.ndarray, predicted: np.ndarray, *, bandwidth: float | None = None) -> float:
    r"""Squared maximum mean discrepancy between two sets of cells, with a Gaussian kernel.

    :math:`\mathbb{E}\,k(X, X') + \mathbb{E}\,k(Y, Y') - 2\,\mathbb{E}\,k(X, Y)`, with
    :math:`k(x, y) = \exp(-\lVert x - y \rVert^2 / 2\sigma^2)`, each mean over pairs of different cells: the unbiased
    estimate of Gretton et al. (2012), equation 3.

    Parameters
    ----------
    true, predicted
        Cells × genes, as in :func:`e_distance`.
    bandwidth
        :math:`\sigma`. ``None``: the median distance between the *true* cells (at most 1,000 of them, evenly spaced).
        The usual median over both sets would let a prediction choose the kernel that it is judged by.

    Returns
    -------
    0 for equal distributions (it may fall slightly below 0), at most 2; NaN with fewer than two cells on either side,
    or where the median distance is 0.

    Raises
    ------
    ValueError
        If a value is missing, the genes differ, or ``bandwidth`` is not positive.
    """
    true, predicted = paired_cells(true, predicted)
    if bandwidth is not None and not bandwidth > 0:
        raise ValueError(f"`bandwidth` must be positive; found {bandwidth!r}")
    if min(len(true), len(predicted)) < 2:
        return float("nan")
    sigma = _median_distance(true) if bandwidth is None else bandwidth
    if sigma == 0:
        return float("nan")

    def kernel(distance: np.ndarray) -> np.ndarray:
        return np.exp(-(distance**2) / (2 * sigma**2))

    between = _mean_over_pairs(true, predicted, kernel)
    return _mean_over_pairs(true, None, kernel) + _mean_over_pairs(predicted, None, kernel) - 2 * between


def variance_ratio(true: np.ndarray, predicted: np.ndarray) -> float:
    r"""Spread of the predicted cells over that of the measured cells.

    :math:`\sum_g s^2_g(\text{predicted}) / \sum_g s^2_g(\text{true})` with sample variances over cells.

    Parameters
    ----------
    true, predicted
        Cells × genes, as in :func:`e_distance`.

    Returns
    -------
    1 for the right spread, 0 for equal cells, as a mean prediction gives; NaN with fewer than two cells on either side
    or if the measured cells are equal. It does not ask which genes vary.

    Raises
    ------
    ValueError
        If a value is missing or the genes differ.
    """
    true, predicted = paired_cells(true, predicted)
    if min(len(true), len(predicted)) < 2:
        return float("nan")
    spread = float(true.var(axis=0, ddof=1).sum())
    return float(predicted.var(axis=0, ddof=1).sum()) / spread if spread > 0 else float("nan")


def _mean_over_pairs(x: np.ndarray, y: np.ndarray | None, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """Mean of a function of the distance, over pairs (x, y), or over pairs of different rows of x; block by block."""
    from sklearn.metrics import pairwise_distances_chunked

    blocks = pairwise_distances_chunked(x, y, metric="euclidean", working_memory=_BLOCK)
    total = sum(float(function(block).sum()) for block in blocks)
    if y is not None:
        return total / (len(x) * len(y))
    itself = float(function(np.zeros(1))[0])
    return (total - len(x) * itself) / (len(x) * (len(x) - 1))


def _identity(distance: np.ndarray) -> np.ndarray:
    return distance


def _median_distance(cells: np.ndarray) -> float:
    from scipy.spatial.distance import pdist

    some = np.linspace(0, len(cells) - 1, min(len(cells), _MEDIAN_CELLS)).astype(int)
    return float(np.median(pdist(cells[some])))
