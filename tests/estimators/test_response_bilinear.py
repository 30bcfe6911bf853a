from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from scgx.estimators import Bilinear, Conditions

GENES = 12
NAMES = [f"g{j}" for j in range(GENES)]


def conditions(names: list[str], features: np.ndarray | None = None) -> Conditions:
    together = tuple(tuple(name.split("+")) for name in names)
    return Conditions(together, np.full(len(names), "a"), np.zeros((len(names), GENES)), features=features)


def test_w_minimises_the_penalised_squared_error() -> None:
    rng = np.random.default_rng(0)
    delta, features = rng.normal(size=(9, GENES)), rng.normal(size=(9, 5))
    known = conditions([f"p{k}" for k in range(9)], features)
    model = Bilinear(n_components=3, penalty=0.5).fit(known, delta)
    G, P = model.G_, (features - features.mean(axis=0)) @ model.axes_
    D = (delta - delta.mean(axis=0)).T

    def loss(w: np.ndarray) -> float:
        # (GᵀG + λI) W (PᵀP + λI) = GᵀDP is where this is least
        W = w.reshape(3, 3)
        fit = np.sum((D - G @ W @ P.T) ** 2) + 0.5 * np.sum((G @ W) ** 2) + 0.5 * np.sum((W @ P.T) ** 2)
        return fit + 0.25 * np.sum(W**2)

    best = minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-8}).x.reshape(3, 3)
    np.testing.assert_allclose(model.W_, best, atol=1e-5)
    np.testing.assert_allclose(model.predict(known), delta.mean(axis=0) + P @ best.T @ G.T, atol=1e-4)


def test_measured_genes_that_act_alike_make_an_unseen_one_predictable() -> None:
    rng = np.random.default_rng(1)
    loading = rng.normal(size=(GENES, 2))
    loading[:8] -= loading[:8].mean(axis=0)  # the mean change is 0: nothing but the bilinear term
    delta = loading @ loading.T  # perturbing a gene moves those of the same module
    model = Bilinear(NAMES, n_components=2, penalty=1e-9).fit(conditions(NAMES[:8]), delta[:8])
    np.testing.assert_allclose(model.predict(conditions(NAMES[8:])), delta[8:], atol=1e-5)


def test_names_add_up_in_any_order_and_one_that_is_not_measured_adds_nothing() -> None:
    delta = np.random.default_rng(2).normal(size=(6, GENES))
    model = Bilinear(NAMES).fit(conditions(NAMES[:6]), delta)
    one, other, both, turned, unknown, neither = model.predict(conditions(["g0", "g1", "g0+g1", "g1+g0", "g0+x", "x"]))
    np.testing.assert_allclose(both - neither, (one - neither) + (other - neither), atol=1e-10)
    np.testing.assert_array_equal(both, turned)
    np.testing.assert_array_equal(unknown, one)
    np.testing.assert_allclose(neither, delta.mean(axis=0))


def test_features_of_a_combination_are_summed() -> None:
    features = np.random.default_rng(3).random((5, 4))
    delta = np.random.default_rng(4).normal(size=(5, GENES))
    known = conditions([f"p{k}" for k in range(5)], features)
    model = Bilinear().fit(known, delta)
    zero, a, b = model.predict(conditions(["x", "p0", "p1"], np.vstack([np.zeros(4), features[:2]])))
    both = model.predict(conditions(["p0+p1"], features[:2].mean(axis=0, keepdims=True)))[0]
    np.testing.assert_allclose(both - zero, (a - zero) + (b - zero), atol=1e-10)


def test_names_that_are_not_those_of_the_genes_and_missing_features_are_refused() -> None:
    with pytest.raises(ValueError, match="`genes` has 3 names for 12 genes"):
        Bilinear(NAMES[:3]).fit(conditions(["g0", "g1"]), np.zeros((2, GENES)))
    with pytest.raises(ValueError, match="needs `conditions.features`"):
        Bilinear().fit(conditions(["g0", "g1"]), np.zeros((2, GENES)))
