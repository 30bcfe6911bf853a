from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import BaseTranslator
from scgx.selection import permutation_importance


class Linear(BaseTranslator):
    """Known coefficients; nothing is learned."""

    def __init__(self, coefficients: np.ndarray) -> None:
        self.coefficients = coefficients

    def fit(self, X: np.ndarray, Y: np.ndarray, **labels: np.ndarray | None) -> Linear:
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        predicted = X @ self.coefficients
        return predicted if tissue is None else predicted + (tissue == "KI")[:, None]


@pytest.mark.usefixtures("unchanged_rng")
def test_increase_is_twice_the_variance_that_the_gene_brings() -> None:
    """For y = Wx without noise, shuffling gene g adds 2 Var(x_g) mean_t W_gt² to the squared error."""
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(256, 8)) * np.arange(8), rng.normal(size=(8, 5))
    W[3] = 0
    increase = permutation_importance(Linear(W), X, X @ W)
    np.testing.assert_allclose(increase, 2 * X.var(axis=0) * (W**2).mean(axis=1), rtol=0.25)
    assert increase[0] == increase[3] == 0


def test_gaps_and_tissues_count() -> None:
    rng = np.random.default_rng(1)
    X, W = rng.normal(size=(200, 6)), rng.normal(size=(6, 5))
    tissue = np.where(rng.random(200) < 0.5, "KI", "LI")
    Y = Linear(W).predict(X, tissue=tissue)
    plain = permutation_importance(Linear(W), X, X @ W)
    np.testing.assert_allclose(permutation_importance(Linear(W), X, Y, tissue=tissue), plain, rtol=1e-6)
    Y[rng.random(Y.shape) < 0.3] = np.nan
    np.testing.assert_allclose(permutation_importance(Linear(W), X, Y, tissue=tissue), plain, rtol=0.3)


def test_seed_decides_and_gene_order_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    X, W = rng.normal(size=(300, 6)), rng.normal(size=(6, 3))
    Y, order = X @ W + rng.normal(size=(300, 3)), rng.permutation(6)
    increase = permutation_importance(Linear(W), X, Y, seed=3)
    np.testing.assert_allclose(permutation_importance(Linear(W[order]), X[:, order], Y, seed=3), increase[order])
    assert not np.allclose(permutation_importance(Linear(W), X, Y, seed=4), increase)
