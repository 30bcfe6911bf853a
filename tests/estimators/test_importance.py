from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import PLS, BaseTranslator, KernelRidge, MatrixCompletion, ResidualOf, SameGene

PAIRS = np.array([[0, 0], [1, 0], [4, 2]])


@pytest.fixture
def study() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(50, 9)) * rng.uniform(0.3, 3, 9) + 2).astype(np.float32)
    Y = X @ rng.normal(size=(9, 4)) + np.sin(X[:, :4]) + 0.1 * rng.normal(size=(50, 4))
    return X, Y.astype(np.float32)


def jacobian(model: BaseTranslator, x: np.ndarray) -> np.ndarray:
    """Central differences of the prediction at one row, genes × targets."""
    step = 1e-2 * np.eye(len(x), dtype=np.float32)
    return (model.predict(x + step) - model.predict(x - step)) / 2e-2


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(KernelRidge(kernel="linear"), id="ridge"),
        pytest.param(KernelRidge(), id="rbf"),
        pytest.param(KernelRidge(kernel="linear", max_rows=20, n_inducing=15), id="inducing"),
        pytest.param(PLS(), id="pls"),
        pytest.param(SameGene(PAIRS), id="same_gene"),
    ],
)
def test_importance_is_root_mean_square_gradient_times_spread(
    study: tuple[np.ndarray, np.ndarray], model: BaseTranslator
) -> None:
    X, Y = study
    model.fit(X, Y)
    rows = X[:20]
    gradient = np.sqrt(np.mean([(jacobian(model, x) ** 2).sum(axis=1) for x in rows], axis=0))
    expected = gradient * np.sqrt(((rows - X.mean(axis=0)) ** 2).mean(axis=0))
    np.testing.assert_allclose(model.gene_importance(rows), expected, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("model", [KernelRidge(kernel="linear"), KernelRidge(), PLS(), SameGene(PAIRS)])
def test_a_gene_that_is_missing_moves_nothing(study: tuple[np.ndarray, np.ndarray], model: BaseTranslator) -> None:
    X, Y = study
    model.fit(X, Y)
    gaps = X.copy()
    gaps[:, 4] = np.nan
    importance, whole = model.gene_importance(gaps), model.gene_importance(X)
    assert importance[4] == 0 < whole[4]
    others = np.arange(9) != 4
    if not isinstance(model, KernelRidge) or model.kernel == "linear":  # the gradient is taken elsewhere
        np.testing.assert_allclose(importance[others], whole[others], rtol=1e-5)


def test_residual_adds_squares_of_both_and_needs_both(study: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = study
    model = ResidualOf(SameGene(PAIRS), KernelRidge(kernel="linear")).fit(X, Y)
    first, second = model.first_.gene_importance(X), model.second_.gene_importance(X)
    np.testing.assert_allclose(model.gene_importance(X) ** 2, first**2 + second**2, rtol=1e-5)
    assert not hasattr(ResidualOf(SameGene(PAIRS), MatrixCompletion()).fit(X, Y), "gene_importance")
