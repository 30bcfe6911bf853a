from __future__ import annotations

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from scgx.selection._cross_validate import OutOfFold

_BLOCK = 256  # rows at once: no copy of all predictions


def _moments(out: OutOfFold, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products of the candidates' deviations from the reference, with each other and with the truth, by fold."""
    names = list(out.predictions)
    gram = np.zeros((len(out.reference), len(names), len(names)))
    right = np.zeros((len(out.reference), len(names)))
    for k in range(len(out.reference)):
        rows = np.flatnonzero(out.fold == k)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            measured = np.isfinite(Y[block])
            truth = np.where(measured, Y[block] - out.reference[k], 0).ravel()
            deviation = np.stack(
                [np.where(measured, out.predictions[name][block] - out.reference[k], 0).ravel() for name in names]
            )
            gram[k] += deviation @ deviation.T
            right[k] += deviation @ truth
    return gram, right


def _non_negative(gram: np.ndarray, right: np.ndarray, shrinkage: float) -> np.ndarray:
    """Argmin over w ≥ 0 of ‖D w − t‖² + λ ‖w − e‖² from DᵀD and Dᵀt, e equal weights of what deviates at all."""
    own = np.diag(gram)
    speaks = own > 1e-8 * own.max()  # the mean itself deviates by rounding alone
    ridge = 1e-6 * max(own.mean(), 1e-12)
    # the median: one wild candidate must not pull the others
    pull = shrinkage * np.quantile(own[speaks], 0.5, method="lower") if speaks.any() else 0.0
    upper = cholesky(gram + (ridge + pull) * np.eye(len(gram)))
    pulled = right + pull * speaks / max(speaks.sum(), 1)
    return nnls(upper, solve_triangular(upper, pulled, trans="T"))[0]


def stack_weights(out: OutOfFold, Y: np.ndarray, *, shrinkage: float = 0.0) -> tuple[dict[str, float], np.ndarray]:
    """Non-negative weights with which the candidates' deviations from the training mean predict best.

    The stacked prediction is ȳ + Σ w_c (ŷ_c − ȳ), ȳ the gene means of the training rows; w minimises the squared
    error of out-of-fold predictions (Breiman 1996, Stacked regressions). Weights need not sum to one: less than
    one is shrinkage towards the mean.

    Parameters
    ----------
    out
        Out-of-fold predictions of the candidates.
    Y
        Measured targets, n × m, NaN where not measured.
    shrinkage
        Pull towards equal weights, relative to the median squared deviation of the candidates: λ ‖w − e‖² is added to the
        squared error, e equal weights (sum 1) of the candidates that are not the mean itself. Where little was measured,
        free weights are mostly chance.

    Returns
    -------
    weights
        Weight of each candidate, from all folds.
    prediction
        Out-of-fold prediction of the stack, n × m float32: each fold's weights come from the other folds.
    """
    names = list(out.predictions)
    gram, right = _moments(out, Y)
    weights = _non_negative(gram.sum(axis=0), right.sum(axis=0), shrinkage)
    prediction = np.empty(Y.shape, dtype=np.float32)
    for k in range(len(out.reference)):
        rows = out.fold == k
        others = np.arange(len(gram)) != k
        w = _non_negative(gram[others].sum(axis=0), right[others].sum(axis=0), shrinkage)
        total = sum(w[c] * (out.predictions[name][rows] - out.reference[k]) for c, name in enumerate(names))
        prediction[rows] = out.reference[k] + total
    return dict(zip(names, weights.tolist(), strict=True)), prediction
