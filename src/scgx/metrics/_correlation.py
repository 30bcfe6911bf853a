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
    return _pearson(true, predicted, 0.0)


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
    return _pearson(true, predicted, center)


def pearson_within_gene(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation over samples, one a gene (m): whether samples are ordered rightly.

    See :func:`pearson` for the conventions.
    """
    return pearson(true.T, predicted.T)


def _pearson(true: np.ndarray, predicted: np.ndarray, center: np.ndarray | float) -> np.ndarray:
    used = np.isfinite(true)
    x, x_flat = _deviations(true, center, used)
    y, y_flat = _deviations(predicted, center, used)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    r = np.divide((x * y).sum(axis=1), scale, out=np.zeros(len(x)), where=~(x_flat | y_flat))
    return np.where(x_flat, np.nan, r)


def _deviations(values: np.ndarray, center: np.ndarray | float, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``values - center`` less its mean over the used genes of each row, and whether only rounding is left of it."""
    delta = np.where(used, values - center, 0).astype(np.float64)
    mean = delta.sum(axis=1, keepdims=True) / np.maximum(used.sum(axis=1, keepdims=True), 1)
    delta = np.where(used, delta - mean, 0)
    # float32 values carry a relative error of 6e-8 each, so the bound is relative to the values, not to the rest
    size = np.where(used, values, 0).astype(np.float64)
    return delta, (delta**2).sum(axis=1) <= 1e-12 * (size**2).sum(axis=1)
