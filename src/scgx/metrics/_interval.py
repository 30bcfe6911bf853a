from __future__ import annotations

import numpy as np


def interval_coverage(true: np.ndarray, predicted: np.ndarray, half_width: np.ndarray) -> float:
    """Share of the measured values within predicted ± half_width.

    Parameters
    ----------
    true
        Measured values, n × m, NaN where not measured.
    predicted
        Predictions, n × m.
    half_width
        Half of the interval's width: n × m, or m.
    """
    used = np.isfinite(true)
    return float((np.abs(true - predicted) <= half_width)[used].mean()) if used.any() else float("nan")


def interval_width(half_width: np.ndarray, shape: tuple[int, int]) -> float:
    """Mean full width of the intervals of an n × m prediction, in the unit of the data."""
    return float(2 * np.broadcast_to(half_width, shape).mean(dtype=np.float64))
