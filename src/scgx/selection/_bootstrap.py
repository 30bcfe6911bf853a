from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairedDifference:
    """Difference of two skills on the same rows, with a bootstrap interval.

    Attributes
    ----------
    difference
        Skill of the first minus skill of the second.
    low, high
        Bounds of the interval.
    n_groups
        Groups that were resampled.
    """

    difference: float
    low: float
    high: float
    n_groups: int


def paired_bootstrap(
    errors_a: np.ndarray,
    errors_b: np.ndarray,
    errors_reference: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """Is one prediction better than another? Resample groups, recompute both skills, take their difference.

    Skill is 1 − Σ error / Σ reference error. Both predictions are scored on the same resampled groups, so that
    what makes a group hard for everybody cancels.

    Parameters
    ----------
    errors_a, errors_b, errors_reference
        Squared error of each row summed over genes, n.
    groups
        Group of each row (n); whole groups are drawn. ``None``: rows are.
    level
        Probability content of the percentile interval.
    n_resamples
        Bootstrap samples.
    seed
        Seed of the resampling.

    Raises
    ------
    ValueError
        If there are fewer than two groups.
    """
    groups = np.arange(len(errors_a)) if groups is None else np.asarray(groups)
    names, index = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"`groups` holds {len(names)} group; a bootstrap over groups needs at least 2.")
    gain = np.bincount(index, weights=np.asarray(errors_b, dtype=float) - np.asarray(errors_a, dtype=float))
    scale = np.bincount(index, weights=np.asarray(errors_reference, dtype=float))
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), n_resamples)
    differences = (draws @ gain) / (draws @ scale)
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return PairedDifference(float(gain.sum() / scale.sum()), float(low), float(high), len(names))
