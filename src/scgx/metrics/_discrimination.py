from __future__ import annotations

from typing import Literal

import numpy as np

from ._checks import paired_rows

Distance = Literal["l1", "l2", "cosine"]


def perturbation_discrimination(
    true: np.ndarray, predicted: np.ndarray, *, distance: Distance = "l1", excluded: np.ndarray | None = None
) -> np.ndarray:
    r"""Is a prediction closer to its own condition than to the others? One rank a condition.

    :math:`1 - r_i / n`, where :math:`r_i` counts the *other* conditions whose measured profile is closer to prediction
    i than the measured profile of i is, a tie counting half. The discrimination score of the Virtual Cell Challenge
    (Roohani et al. 2025) and of cell-eval, the rank metric of PerturBench (Wu et al. 2024, arXiv 2408.10609).

    Parameters
    ----------
    true
        Measured changes, or profiles, of n conditions, n × m. Genes not measured in every condition are left out.
    predicted
        Their predictions, n × m. For ``"cosine"`` both must be changes; the other distances do not care.
    distance
        ``"l1"``, ``"l2"`` or ``"cosine"`` (1 − cosine).
    excluded
        Genes to leave out of the distances from a prediction, n × m boolean: the targets of a gene perturbation, whose
        change gives it away.

    Returns
    -------
    n scores: 1 for the closest, 1/n for the farthest, (n + 1) / 2n on average for a prediction that is the same for
    every condition. It knows order only, so that a prediction of the wrong size can score 1. NaN where a prediction is
    missing, where no gene is left, and for a single condition.

    Raises
    ------
    ValueError
        If the shapes differ or ``distance`` is none of the three.
    """
    return 1 - _n_closer(true, predicted, distance, excluded) / len(true)


def centroid_accuracy(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    r"""Share of the other conditions that are farther from a prediction than its own is, one a condition.

    :math:`1 - r_i / (n - 1)` with the Euclidean :math:`r_i` of :func:`perturbation_discrimination`: the same ranks on
    a scale whose chance level is 0.5 whatever n. The centroid accuracy of Systema (Viñas Torné et al. 2025).

    Parameters
    ----------
    true, predicted
        Measured and predicted mean profiles, or changes, of n conditions, n × m.

    Returns
    -------
    n shares; NaN as in :func:`perturbation_discrimination`.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return 1 - _n_closer(true, predicted, "l2", None) / max(len(true) - 1, 1)


def _n_closer(true: np.ndarray, predicted: np.ndarray, distance: Distance, excluded: np.ndarray | None) -> np.ndarray:
    """Other conditions closer to each prediction than its own, ties half; NaN where that cannot be said."""
    if distance not in _DISTANCES:
        raise ValueError(f"`distance` must be one of {', '.join(map(repr, _DISTANCES))}; found {distance!r}")
    true, predicted = paired_rows(true, predicted)
    kept = np.ones(true.shape)
    if excluded is not None:
        kept = 1 - paired_rows(excluded, predicted, ("excluded", "predicted"))[0]
    measured = np.isfinite(true).all(axis=0)
    true, predicted, kept = true[:, measured], predicted[:, measured], kept[:, measured]
    closer = np.full(len(true), np.nan)
    for i, (profile, weight) in enumerate(zip(predicted, kept, strict=True)):
        if len(true) > 1 and weight.any() and np.isfinite(profile).all():
            far = _DISTANCES[distance](true, profile, weight)
            closer[i] = np.count_nonzero(far < far[i]) + (np.count_nonzero(far == far[i]) - 1) / 2
    return closer


def _cosine(true: np.ndarray, profile: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """1 − cosine; a profile without any change is equally far from everything."""
    length = np.sqrt((true**2 @ weight) * (profile**2 @ weight))
    return 1 - np.divide(true @ (profile * weight), length, out=np.zeros(len(true)), where=length > 0)


_DISTANCES = {
    "l1": lambda true, profile, weight: np.abs(true - profile) @ weight,
    "l2": lambda true, profile, weight: (true - profile) ** 2 @ weight,  # its root has the same order
    "cosine": _cosine,
}
