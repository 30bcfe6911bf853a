from __future__ import annotations

import numpy as np


def crps(true: np.ndarray, ensemble: np.ndarray) -> float:
    r"""Continuous ranked probability score, averaged over all measured entries.

    :math:`\int (F(t) - \mathbf{1}\{y \le t\})^2\,dt` with F the empirical distribution of the ensemble (Gneiting and
    Raftery 2007), by ``scoringrules.crps_ensemble``. A proper score: it is lowest in expectation for the true
    distribution, and for an ensemble of one it is the absolute error.

    Parameters
    ----------
    true
        Measured values, n × m, NaN where not measured.
    ensemble
        Equally likely predictions, n × m × k. From out-of-fold residuals (k × m) of a point prediction:
        ``predicted[:, :, None] + residuals.T``.

    Returns
    -------
    Score in the unit of ``true``, 0 at best; NaN if nothing was measured, or a prediction is missing where something
    was.

    Raises
    ------
    ImportError
        If scoringrules is not installed.
    ValueError
        If the shapes do not fit.
    """
    try:
        from scoringrules import crps_ensemble
    except ImportError as error:
        raise ImportError("`scgx.metrics.crps` needs scoringrules: pip install 'scgx-tools[eval]'") from error
    true, ensemble = np.asarray(true, dtype=np.float64), np.asarray(ensemble, dtype=np.float64)
    if ensemble.ndim != true.ndim + 1 or ensemble.shape[:-1] != true.shape or not ensemble.shape[-1]:
        raise ValueError(
            f"`ensemble` must have the shape of `true` and one more axis of predictions; found {ensemble.shape} for "
            f"{true.shape}"
        )
    used = np.isfinite(true)
    if not used.any() or np.isnan(ensemble[used]).any():
        return float("nan")
    return float(np.mean(crps_ensemble(true[used], ensemble[used], backend="numpy")))


def risk_coverage_curve(error: np.ndarray, uncertainty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean error of the predictions one keeps, when keeping the most certain ones first.

    Where the uncertainty knows what is hard, the curve rises; where it knows nothing, it is flat (El-Yaniv and Wiener
    2010). ``sklearn.metrics.auc(coverage, risk)`` sums it up in one number.

    Parameters
    ----------
    error
        Error of each prediction, any shape, NaN where not measured.
    uncertainty
        Uncertainty stated for each, of a shape that broadcasts to ``error``: an interval's half-width, 1 − confidence.
        May be infinite.

    Returns
    -------
    coverage
        Share of the predictions kept, rising to 1; one point for each level of uncertainty, as predictions of equal
        uncertainty cannot be told apart. Empty if nothing was measured.
    risk
        Mean error of those kept.

    Raises
    ------
    ValueError
        If an uncertainty is NaN where an error is not.
    """
    error = np.asarray(error, dtype=np.float64)
    stated = np.broadcast_to(uncertainty, error.shape)
    used = np.isfinite(error)
    error, stated = error[used], stated[used]
    if np.isnan(stated).any():
        raise ValueError(
            f"`uncertainty` is NaN for {np.isnan(stated).sum()} predictions that have an error; say inf where nothing "
            "is known"
        )
    order = np.argsort(stated, kind="stable")
    last = np.append(np.diff(stated[order]) > 0, True)[: len(order)]
    kept = np.arange(1, len(order) + 1)
    return (kept / max(len(order), 1))[last], (np.cumsum(error[order]) / kept)[last]
