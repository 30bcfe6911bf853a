from __future__ import annotations

import numpy as np


def shrunk_mean(residuals: np.ndarray) -> np.ndarray:
    """Mean of each column, shrunk to zero as far as noise alone explains it (empirical Bayes).

    The means r̄_g are taken as drawn around zero with variance τ², and measured with variance s²/k: the estimate is
    r̄_g τ²/(τ² + s²/k), with s² pooled over columns and τ² = mean r̄² − s²/k, or 0 (James & Stein 1961).

    Parameters
    ----------
    residuals
        k × m, NaN where not measured.

    Returns
    -------
    m values, float32; zeros for fewer than two rows, where noise cannot be told from shift.
    """
    measured = np.isfinite(residuals)
    count = measured.sum(axis=0)
    mean = np.where(measured, residuals, 0).sum(axis=0) / np.maximum(count, 1)
    degrees = np.maximum(count - 1, 0).sum()
    if degrees == 0:
        return np.zeros(residuals.shape[1], dtype=np.float32)
    variance = np.sum(np.where(measured, residuals - mean, 0) ** 2) / degrees
    noise = variance / np.maximum(count, 1)
    between = max(0.0, float(np.mean((mean**2 - noise)[count > 0])))
    return (mean * between / np.maximum(between + noise, 1e-30)).astype(np.float32)


def leave_one_out_offset(residuals: np.ndarray) -> np.ndarray:
    """:func:`shrunk_mean` of all rows but each one, k × m: what a row may be corrected by when it is scored."""
    rows = np.arange(len(residuals))
    return np.stack([shrunk_mean(residuals[rows != row]) for row in rows])


def study_shift(X: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Shift of a new study's genes against the training study, shrunk as in :func:`shrunk_mean`.

    Parameters
    ----------
    X
        The new study, n × p, NaN where not measured.
    mean, deviation
        Mean and standard deviation of each gene in the training study, p.

    Returns
    -------
    p shifts in the unit of ``X``. They hold what the studies differ in, technical or not: a new study of other
    tissues or stronger treatments loses that difference too.
    """
    scale = np.where(deviation > 0, deviation, 1)
    return shrunk_mean((X - mean) / scale) * scale.astype(np.float32)
