from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ._checks import cell_matrix


def split_half_ceiling(
    values: np.ndarray,
    condition: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray | float],
    *,
    control: np.ndarray | None = None,
    n_splits: int = 10,
    seed: int = 0,
) -> np.ndarray | float:
    r"""Replicate ceiling: how well one half of the measurements predicts the other.

    The replicates of each condition, and the control cells, are split into random halves A and B; ``score`` compares
    the mean changes :math:`\bar x^A_c - \bar x^A_0` and :math:`\bar x^B_c - \bar x^B_0`; the mean over splits is
    returned. Nothing is shared between the halves, controls neither.

    Parameters
    ----------
    values
        Cells or replicate samples × genes, n × m, NaN where not measured.
    condition
        Condition of each row, n.
    score
        Any metric of two k × m matrices of k conditions (in sorted order): measured, predicted.
    control
        Control cells × genes. ``None``: ``values`` are compared as they are; changes that were all taken against the
        same control cells agree by these too.
    n_splits
        Number of random splits.
    seed
        Seed of the splits.

    Returns
    -------
    What ``score`` returns, averaged over splits: k values, or one number. A gene that one of the halves lacks is left
    out of its condition, and so is all of a condition with a single replicate. A half is noisier than the whole: this
    is a *lower* bound of what a perfect prediction of the whole would score, and a model that borrows strength from
    other conditions may pass it.

    Raises
    ------
    ValueError
        If a value is infinite, the lengths differ, or there are fewer than two control cells.
    """
    values, condition = cell_matrix(values, "values", allow_nan=True), np.asarray(condition)
    if len(condition) != len(values):
        raise ValueError(f"`condition` has {len(condition)} entries for {len(values)} rows of `values`; give one a row")
    if control is not None and len(control := cell_matrix(control, "control", allow_nan=True)) < 2:
        raise ValueError(f"`control` has {len(control)} cells; two halves need at least 2")
    rows = [np.flatnonzero(condition == name) for name in np.unique(condition)]
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(n_splits):
        halves = np.stack([_half_means(values[index], rng) for index in rows], axis=1)
        if control is not None:
            halves = halves - _half_means(control, rng)[:, None]
        halves[:, np.isnan(halves).any(axis=0)] = np.nan  # either half may lack a gene
        scores.append(np.asarray(score(halves[0], halves[1]), dtype=np.float64))
    mean = np.stack(scores).mean(axis=0)
    return mean if mean.ndim else float(mean)


def gap_closed(score: float, baselines: ArrayLike, ceiling: float, *, higher_is_better: bool = True) -> float:
    """Share of the gap between the best baseline and the ceiling that a score closes.

    (score − best baseline) / (ceiling − best baseline).

    Parameters
    ----------
    score
        Score of the prediction.
    baselines
        Scores of the baselines, any number; those that are NaN are left out.
    ceiling
        Score of replicates, see :func:`split_half_ceiling`.
    higher_is_better
        False for errors and distances.

    Returns
    -------
    0 for the best baseline, 1 for the ceiling, negative for worse than the best baseline. NaN where there is no gap to
    close: the best baseline reaches the ceiling, or one of them is NaN. A narrow gap makes it noise: show the three
    scores too.
    """
    values = np.asarray(baselines, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan")
    best = float(values.max() if higher_is_better else values.min())
    gap = (ceiling - best) if higher_is_better else (best - ceiling)
    gain = (score - best) if higher_is_better else (best - score)
    return gain / gap if gap > 0 else float("nan")


def _half_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Means over the measured rows of two random halves, 2 × m; NaN where a half has none."""
    means = np.full((2, values.shape[1]), np.nan)
    for mean, half in zip(means, np.array_split(rng.permutation(len(values)), 2), strict=True):
        count = np.isfinite(values[half]).sum(axis=0)
        np.divide(np.nansum(values[half], axis=0), count, out=mean, where=count > 0)
    return means
