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
    return _pearson(true, predicted, 0.0, 0.0)


def pearson_delta(
    true: np.ndarray, predicted: np.ndarray, center: np.ndarray, predicted_center: np.ndarray | None = None
) -> np.ndarray:
    """Pearson correlation over genes, one a sample, after what everybody knows is taken from both sides.

    Parameters
    ----------
    true, predicted
        n × m, see :func:`pearson`.
    center
        What to take away, n × m or m. Name it beside the number, for it decides what is measured:

        - the gene means of the *training* rows (translation);
        - the measured control profile: the plain Δ of perturbation studies, which an effect that all perturbations
          share lifts;
        - the mean of the *training* perturbed profiles: what is special to a perturbation (Systema, Viñas Torné et
          al. 2025).
    predicted_center
        What to take from ``predicted`` if it is not ``center``: the mean of the *measured* control cells that the
        prediction started from, where ``center`` is that of others, see :func:`split_controls`. The noise of control
        cells that stand on both sides counts as agreement.

    Returns
    -------
    n correlations; 0 for a prediction that adds nothing to its center.
    """
    return _pearson(true, predicted, center, center if predicted_center is None else predicted_center)


def pearson_within_gene(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson correlation over samples, one a gene (m): whether samples are ordered rightly.

    See :func:`pearson` for the conventions.
    """
    return pearson(true.T, predicted.T)


def _pearson(
    true: np.ndarray, predicted: np.ndarray, center: np.ndarray | float, predicted_center: np.ndarray | float
) -> np.ndarray:
    used = np.isfinite(true)
    x, x_flat = deviations(true, center, used)
    y, y_flat = deviations(predicted, predicted_center, used)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    r = np.divide((x * y).sum(axis=1), scale, out=np.zeros(len(x)), where=~(x_flat | y_flat))
    return np.where(x_flat, np.nan, r)


def deviations(values: np.ndarray, center: np.ndarray | float, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``values - center`` less its mean over the used genes of each row, and whether only rounding is left of it."""
    delta = np.where(used, values - center, 0).astype(np.float64)
    mean = delta.sum(axis=1, keepdims=True) / np.maximum(used.sum(axis=1, keepdims=True), 1)
    delta = np.where(used, delta - mean, 0)
    # float32 values carry a relative error of 6e-8 each, so the bound is relative to the values, not to the rest
    size = np.where(used, values, 0).astype(np.float64)
    return delta, (delta**2).sum(axis=1) <= 1e-12 * (size**2).sum(axis=1)
