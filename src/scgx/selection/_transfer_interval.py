from __future__ import annotations

import numpy as np

from scgx.metrics import interval_coverage
from scgx.selection._conformal import conformal_half_width
from scgx.selection._transfer import ChosenTransfer


def transfer_half_width(truth: np.ndarray, chosen: ChosenTransfer, level: float) -> np.ndarray:
    """Half-width of the intervals of each condition, c; see :func:`conformal_half_width`, genes being its rows.

    Conditions that measured too little have the half-width over all held-out cells, and so has every condition where whole
    conditions were held out: a new condition has no residuals of its own.
    """
    residuals = truth - chosen.out_of_fold
    pooled = conformal_half_width(residuals.reshape(-1, 1), level)[0]
    if chosen.split == "condition":
        return np.full(len(truth), pooled, dtype=np.float32)
    own = conformal_half_width(residuals.T, level)
    return np.where(np.isfinite(own), own, pooled).astype(np.float32)


def transfer_coverage(truth: np.ndarray, chosen: ChosenTransfer, level: float) -> float:
    """Share of the held-out cells within intervals whose width comes from the other folds."""
    inside, total = 0.0, 0
    for k in np.unique(chosen.fold[chosen.fold >= 0]):
        test = chosen.fold == k
        width = transfer_half_width(np.where(test, np.nan, truth), chosen, level)
        held = np.where(test, truth, np.nan)
        inside += test.sum() * interval_coverage(held, chosen.out_of_fold, np.broadcast_to(width[:, None], held.shape))
        total += test.sum()
    return float(inside / total) if total else float("nan")
