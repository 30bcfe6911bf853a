from __future__ import annotations

import numpy as np

from scgx.estimators import column_mean


def shrunk_mean(residuals: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Mean of each column, shrunk to zero as far as noise alone explains it (empirical Bayes).

    The means r̄_g are taken as drawn around zero with variance τ², and measured with variance s²/k: the estimate is
    r̄_g τ²/(τ² + s²/k), with s² pooled over columns and τ² = mean r̄² − s²/k, or 0 (James & Stein 1961).

    Parameters
    ----------
    residuals
        n × m, NaN where not measured.
    groups
        Group of each row (n). Rows of a group share what is special to it, so the mean of each group counts as one of
        the k measurements. ``None``: each row does.

    Returns
    -------
    m values, float32; zeros for fewer than two groups, where noise cannot be told from shift.
    """
    if groups is not None and len(residuals):
        residuals = np.stack([_column_mean(residuals[groups == group]) for group in np.unique(groups)])
    measured = np.isfinite(residuals)
    count = measured.sum(axis=0)
    mean = np.where(measured, residuals, 0).sum(axis=0) / np.maximum(count, 1)
    degrees = np.maximum(count - 1, 0).sum()
    if degrees == 0:  # one group, or none
        return np.zeros(residuals.shape[1], dtype=np.float32)
    variance = np.sum(np.where(measured, residuals - mean, 0) ** 2) / degrees
    noise = variance / np.maximum(count, 1)
    between = max(0.0, float(np.mean((mean**2 - noise)[count > 0])))
    return (mean * between / np.maximum(between + noise, 1e-30)).astype(np.float32)


def _column_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the measured values of each column, NaN where there is none."""
    return np.where(np.isfinite(values).any(axis=0), column_mean(values), np.nan)


def leave_one_out_offset(residuals: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """:func:`shrunk_mean` of all groups but the row's own, n × m: what a row may be corrected by when it is scored."""
    groups = np.arange(len(residuals)) if groups is None else groups
    offset = np.empty_like(residuals)
    for group in np.unique(groups):
        own = groups == group
        offset[own] = shrunk_mean(residuals[~own], groups[~own])
    return offset


def study_shift(X: np.ndarray, mean: np.ndarray, deviation: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Shift of a new study's genes against the training study, shrunk as in :func:`shrunk_mean`.

    Parameters
    ----------
    X
        The new study, n × p, NaN where not measured.
    mean, deviation
        Mean and standard deviation of each gene in the training study, p.
    groups
        See :func:`shrunk_mean`.

    Returns
    -------
    p shifts in the unit of ``X``. They hold what the studies differ in, technical or not: a new study of other
    tissues or stronger treatments loses that difference too.
    """
    scale = np.where(deviation > 0, deviation, 1)
    return shrunk_mean((X - mean) / scale, groups) * scale.astype(np.float32)
