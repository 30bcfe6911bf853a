from __future__ import annotations

import numpy as np


def average(scores: np.ndarray) -> float:
    """Mean of the scores that exist, NaN where none does: a single row has no correlation over rows."""
    defined = np.isfinite(scores)
    return float(scores[defined].mean(dtype=np.float64)) if defined.any() else float("nan")
