from __future__ import annotations

import numpy as np


def pearson(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation over genes, one a sample, on values as they are.

    Never report it alone: on raw expression the differences between genes dominate, and a constant profile
    scores close to 1. :func:`pearson_delta` is its honest twin.

    Parameters
    ----------
    true
        Measured values, n × m, NaN where not measured.
    predicted
        Predictions, n × m.

    Returns
    -------
    n correlations. A prediction without variance scores 0; NaN where fewer than two genes were measured or the
    measured values are constant.
    """
    used = np.isfinite(true)
    count = np.maximum(used.sum(axis=1, keepdims=True), 1)
    x, y = np.where(used, true, 0).astype(np.float64), np.where(used, predicted, 0).astype(np.float64)
    x = np.where(used, x - x.sum(axis=1, keepdims=True) / count, 0)
    y = np.where(used, y - y.sum(axis=1, keepdims=True) / count, 0)
    xx, yy, xy = (x**2).sum(axis=1), (y**2).sum(axis=1), (x * y).sum(axis=1)
    # rounding leaves a constant row with a tiny sum of squares
    x_scale = np.abs(np.where(used, true, 0)).max(axis=1, initial=0)
    y_scale = np.abs(np.where(used, predicted, 0)).max(axis=1, initial=0)
    flat_x, flat_y = xx <= count[:, 0] * (1e-6 * x_scale) ** 2, yy <= count[:, 0] * (1e-6 * y_scale) ** 2
    r = np.divide(xy, np.sqrt(xx * yy), out=np.zeros_like(xy), where=~(flat_x | flat_y))
    return np.where(flat_x, np.nan, r)


def pearson_delta(true: np.ndarray, predicted: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Pearson correlation over genes, one a sample, after ``center`` is taken from both sides.

    Parameters
    ----------
    true, predicted
        n × m, see :func:`pearson`.
    center
        What everybody knows beforehand, n × m or m: the gene means of the *training* rows (translation) or the
        control profile (perturbation).

    Returns
    -------
    n correlations; 0 for a prediction that adds nothing to ``center``.
    """
    return pearson(true - center, predicted - center)


def pearson_within_gene(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation over samples, one a gene (m): does the prediction order the samples rightly?

    See :func:`pearson` for the conventions.
    """
    return pearson(true.T, predicted.T)
