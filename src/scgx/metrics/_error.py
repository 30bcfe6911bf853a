from __future__ import annotations

import numpy as np

#: |log10 fold change| of a two-fold change: the over- and under-expressed genes of the TransPlatformer paper
STRONG = float(np.log10(2))
EXTREME = 1.0


def mae(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error over all measured entries.

    Parameters
    ----------
    true
        Measured values, n × m, NaN where not measured.
    predicted
        Predictions, n × m.

    Returns
    -------
    Error in the unit of ``true``; NaN if nothing was measured.
    """
    return _mean_error_where(true, predicted, np.isfinite(true))


def mae_strong(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error where the measured change is at least two-fold: log10 fold change ≥ log10 2 or ≤ −log10 2.

    The "MAE o/u" of Cong et al. (2026): about 92 % of fold changes are near zero, so that plain MAE rewards a
    model that predicts nothing. ``true`` and ``predicted`` are log10 fold changes, n × m; NaN if there is no
    such entry.
    """
    return _mean_error_where(true, predicted, np.abs(true) >= STRONG)


def mae_extreme(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error where the measured change is at least ten-fold: log10 fold change ≥ 1 or ≤ −1.

    See :func:`mae_strong`.
    """
    return _mean_error_where(true, predicted, np.abs(true) >= EXTREME)


def r2_skill(true: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> float:
    """Share of a reference's squared error that the prediction removes: 1 − SSE(predicted) / SSE(reference).

    Parameters
    ----------
    true
        Measured values, n × m, NaN where not measured.
    predicted
        Predictions, n × m.
    reference
        The reference's predictions, n × m or m: the gene means of the *training* rows, or the best trivial
        baseline. Say which beside the number.

    Returns
    -------
    1 for a perfect prediction, 0 for the reference, negative for worse than it. With the training mean as the
    reference this is Q² of chemometrics, pooled over genes.
    """
    used = np.isfinite(true)
    error = np.sum(np.where(used, true - predicted, 0) ** 2, dtype=np.float64)
    baseline = np.sum(np.where(used, true - reference, 0) ** 2, dtype=np.float64)
    return float(1 - error / baseline) if baseline > 0 else float("nan")


def _mean_error_where(true: np.ndarray, predicted: np.ndarray, used: np.ndarray) -> float:
    return float(np.abs(true - predicted)[used].mean(dtype=np.float64)) if used.any() else float("nan")
