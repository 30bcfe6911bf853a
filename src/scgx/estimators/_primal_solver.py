"""Ridge regression in feature form, for more rows than a kernel matrix can hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from scgx.estimators._ridge_solver import Folds


def _solutions(features: np.ndarray, Y: np.ndarray, penalties: np.ndarray) -> Iterator[np.ndarray]:
    """Coefficients (q × m) of centred ridge regression for each penalty; one Gram matrix serves all."""
    mean = features.mean(axis=0)
    gram = (features.T @ features).astype(np.float64) - len(features) * np.outer(mean, mean)
    right = (features.T @ (Y - Y.mean(axis=0))).astype(np.float64)
    for penalty in penalties:
        factor = cho_factor(gram + penalty * np.eye(len(gram)), lower=True, overwrite_a=True)
        yield cho_solve(factor, right, check_finite=False).astype(np.float32)


def feature_errors(features: np.ndarray, Y: np.ndarray, folds: Folds, penalties: np.ndarray) -> np.ndarray:
    """Held-out squared error, folds × penalties × targets."""
    errors = np.zeros((len(folds), len(penalties), Y.shape[1]), dtype=np.float32)
    for k, (train, test) in enumerate(folds):
        F_train, Y_train = features[train], Y[train]
        F_test, Y_test = features[test] - F_train.mean(axis=0), Y[test] - Y_train.mean(axis=0)
        for i, W in enumerate(_solutions(F_train, Y_train, penalties)):
            residual = F_test @ W - Y_test
            errors[k, i] = np.einsum("ij,ij->j", residual, residual)
    return errors


def feature_coefficients(features: np.ndarray, Y: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Coefficients (q × m, float32) with one penalty a target (m)."""
    W = np.empty((features.shape[1], Y.shape[1]), dtype=np.float32)
    for penalty in np.unique(penalties):
        columns = penalties == penalty
        W[:, columns] = next(_solutions(features, Y[:, columns], np.array([penalty])))
    return W
