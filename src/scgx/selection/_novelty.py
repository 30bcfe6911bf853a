from __future__ import annotations

import numpy as np

from scgx.estimators import Conditions, tanimoto


def perturbation_novelty(asked: Conditions, known: Conditions) -> tuple[np.ndarray, str]:
    """How far each perturbation is from the nearest that was measured, n, and the unit in words.

    0 for one that was measured, in whatever context and dose. Otherwise, with features of at least 0, 1 − the largest
    Tanimoto similarity (0 to 1); with other features, the Euclidean distance to the nearest divided by the median of such
    distances among the measured ones (1: as far as these are from each other); without features, the share of its names
    that were never measured.
    """
    measured = {name for names in known.perturbations for name in names}
    if asked.features is None or known.features is None:
        novelty = np.array([np.mean([name not in measured for name in names]) for names in asked.perturbations])
        unit = "share of names never measured"
    elif min(asked.features.min(), known.features.min()) >= 0:
        novelty, unit = 1 - tanimoto(asked.features, known.features).max(axis=1), "1 - largest Tanimoto similarity"
    else:
        novelty, unit = _relative_distance(asked.features, known.features), "distance to the nearest / usual distance"
    seen = [names in set(known.perturbations) for names in asked.perturbations]
    return np.where(seen, 0.0, novelty), unit


def _relative_distance(asked: np.ndarray, known: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    different = np.unique(known, axis=0)
    among = cdist(different, different)
    np.fill_diagonal(among, np.inf)
    usual = float(np.median(among.min(axis=1))) if len(different) > 1 else 1.0
    return cdist(asked, different).min(axis=1) / usual
