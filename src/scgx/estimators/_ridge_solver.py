"""Ridge regression in kernel form: errors over penalties and folds, choice of penalties, coefficients.

Everything works on a kernel matrix K (n × n) of the training rows. With K centred on the rows it is fitted on,
the prediction of held-out rows is ŷ = ȳ + K_ht (K_tt + αI)⁻¹ (y − ȳ), in which α counts the intercept exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

Folds = list[tuple[np.ndarray, np.ndarray]]
#: relative to the mean diagonal of the centred kernel
PENALTIES = np.logspace(-4, 2, 13)
_COLUMNS = 1024  # targets at once: bounds the work space


def center_kernel(K: np.ndarray, K_query: np.ndarray | None = None) -> np.ndarray:
    """Kernel of training rows (or of query rows × training rows) with the training mean taken out of features."""
    column = K.mean(axis=0, keepdims=True)
    other = K if K_query is None else K_query
    return other - column - other.mean(axis=1, keepdims=True) + column.mean()


def _hat_matrices(K: np.ndarray, train: np.ndarray, test: np.ndarray, penalties: np.ndarray) -> Iterator[np.ndarray]:
    """H of each penalty with ŷ_test = H y_train; rows of H sum to one, so y need not be centred."""
    K_train = K[np.ix_(train, train)]
    K_test = center_kernel(K_train, K[np.ix_(test, train)])
    K_train = center_kernel(K_train)
    for penalty in penalties:
        factor = cho_factor(K_train + penalty * np.eye(len(train)), lower=True, overwrite_a=True)
        yield cho_solve(factor, K_test.T, check_finite=False).T + 1 / len(train)


def in_threads(function: Callable[..., Any], arguments: Iterable[tuple]) -> list[Any]:
    """Results of ``function`` for each tuple of arguments, in order.

    One Python thread a core, each with a linear algebra of one thread: BLAS threads of their own cost far more than
    they bring on matrices of this size, above all where cores are busy.
    """
    with threadpool_limits(1, user_api="blas"):
        return Parallel(n_jobs=cpu_count(), require="sharedmem")(delayed(function)(*one) for one in arguments)


def kernel_errors(K: np.ndarray, covariance: np.ndarray, folds: Folds, penalties: np.ndarray) -> np.ndarray:
    """Held-out squared error summed over all targets, one value a penalty, from YYᵀ (n × n) alone.

    ‖Y_h − H Y_t‖² = tr S_hh − 2 tr H S_th + tr H S_tt Hᵀ with S = YYᵀ: its cost does not depend on the number
    of targets, so kernels are compared cheaply.
    """

    def of_fold(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        held_out = np.trace(covariance[np.ix_(test, test)])
        cross, known = covariance[np.ix_(test, train)], covariance[np.ix_(train, train)]
        hats = _hat_matrices(K, train, test, penalties)
        return np.array([held_out - 2 * np.sum(H * cross) + np.sum((H @ known) * H) for H in hats])

    return np.sum(in_threads(of_fold, folds), axis=0)


def target_errors(K: np.ndarray, Y: np.ndarray, folds: Folds, penalties: np.ndarray) -> np.ndarray:
    """Held-out squared error, folds × penalties × targets, float32."""

    def of_fold(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        errors = np.empty((len(penalties), Y.shape[1]), dtype=np.float32)
        hats = [H.astype(np.float32) for H in _hat_matrices(K, train, test, penalties)]
        for columns in _blocks(np.arange(Y.shape[1])):
            Y_train, Y_test = Y[train, columns[0] : columns[-1] + 1], Y[test, columns[0] : columns[-1] + 1]
            for i, H in enumerate(hats):
                errors[i, columns] = np.square(H @ Y_train - Y_test).sum(axis=0)
        return errors

    return np.stack(in_threads(of_fold, folds))


def _blocks(columns: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(columns), _COLUMNS):
        yield columns[start : start + _COLUMNS]


def choose_penalties(errors: np.ndarray) -> np.ndarray:
    """Index of the penalty of each target: one for all or one a target, whichever predicts better.

    The comparison is honest: the choice made on all folds but one is scored on the one left out.

    Parameters
    ----------
    errors
        Held-out squared errors, folds × penalties × targets.
    """
    total = errors.sum(axis=0, dtype=np.float64)
    one, each = 0.0, 0.0
    for fold in errors.astype(np.float64):
        rest = total - fold
        one += fold[rest.sum(axis=1).argmin()].sum()
        each += np.take_along_axis(fold, rest.argmin(axis=0)[None], axis=0).sum()
    if each < one:
        return total.argmin(axis=0)
    return np.full(errors.shape[2], total.sum(axis=1).argmin())


def dual_coefficients(K: np.ndarray, Y: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Weights W (n × m, float32) of (K + α_j I) w_j = y_j, for a centred kernel and centred complete targets."""
    W = np.empty(Y.shape, dtype=np.float32)

    def of_penalty(penalty: float) -> None:
        factor = cho_factor(K + penalty * np.eye(len(K)), lower=True, overwrite_a=True)
        for block in _blocks(np.flatnonzero(penalties == penalty)):
            W[:, block] = cho_solve(factor, Y[:, block].astype(np.float64), check_finite=False)

    in_threads(of_penalty, [(penalty,) for penalty in np.unique(penalties)])
    return W


def masked_dual_coefficients(
    K: np.ndarray, Y: np.ndarray, penalties: np.ndarray, *, tolerance: float = 1e-5, max_iterations: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and intercepts where targets have gaps, each target fitted on its own measured rows.

    Solves, for all targets at once by conjugate gradients, M_j (K + α_j I) M_j w_j = M_j (y_j − b_j) with the
    intercept b_j such that M_j w_j sums to zero, the condition of an unpenalised intercept.

    Parameters
    ----------
    K
        Centred kernel, n × n.
    Y
        Targets, n × m, NaN where not measured.
    penalties
        One a target (m).

    Returns
    -------
    W, b
        n × m float32 and m float32.
    """
    measured = np.isfinite(Y)
    K = K.astype(np.float32)

    def solve(right: np.ndarray) -> np.ndarray:
        W, residual = np.zeros_like(right), right.copy()
        direction, energy = residual.copy(), (residual**2).sum(axis=0)
        stop = tolerance**2 * np.maximum(energy, 1e-20)
        for _ in range(max_iterations):
            image = np.where(measured, K @ direction + penalties * direction, 0).astype(np.float32)
            step = energy / np.maximum((direction * image).sum(axis=0), 1e-30)
            W += step * direction
            residual -= step * image
            previous, energy = energy, (residual**2).sum(axis=0)
            if (energy <= stop).all():
                break
            direction = residual + energy / np.maximum(previous, 1e-30) * direction
        return W

    of_targets = solve(np.where(measured, Y, 0).astype(np.float32))
    of_ones = solve(measured.astype(np.float32))
    intercept = of_targets.sum(axis=0) / np.maximum(of_ones.sum(axis=0), 1e-12)
    return of_targets - intercept * of_ones, intercept
