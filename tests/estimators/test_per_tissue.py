from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from scgx.estimators import KernelRidge, PerTissue, SameGene, TrainingAverage
from scgx.selection import METHODS

PAIRS = np.tile(np.arange(4)[:, None], 2)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target, tissue: 30 rows of liver, 20 of brain, 9 of skin; levels 0, 10, 20."""
    rng = np.random.default_rng(0)
    tissue = np.repeat(["liver", "brain", "skin"], [30, 20, 9])
    level = np.repeat([0.0, 10.0, 20.0], [30, 20, 9])[:, None]
    X = rng.normal(size=(59, 8))
    Y = X[:, :4] + level + 0.1 * rng.normal(size=(59, 4))
    return X.astype(np.float32), Y.astype(np.float32), tissue


def test_each_tissue_is_predicted_by_a_model_of_its_own_rows(rows: tuple[np.ndarray, ...]) -> None:
    X, Y, tissue = rows
    model = PerTissue(KernelRidge(kernel="linear")).fit(X, Y, tissue=tissue)
    predicted = model.predict(X, tissue=tissue)
    for name in ("liver", "brain"):
        own = tissue == name
        alone = KernelRidge(kernel="linear").fit(X[own], Y[own])
        np.testing.assert_allclose(predicted[own], alone.predict(X[own]), atol=1e-5)


def test_few_rows_few_groups_and_unseen_tissues_take_the_model_of_all_rows(rows: tuple[np.ndarray, ...]) -> None:
    X, Y, tissue = rows
    groups = np.where(tissue == "brain", np.arange(59) % 3, np.arange(59))  # brain is three donors
    model = PerTissue(TrainingAverage()).fit(X, Y, groups=groups, tissue=tissue)
    assert list(model.models_) == ["liver"]
    asked = np.array(["liver", "brain", "skin", "heart"])
    overall = Y.mean(axis=0, dtype=float)
    expected = np.stack([Y[tissue == "liver"].mean(axis=0, dtype=float), *[overall] * 3])
    np.testing.assert_allclose(model.predict(X[:4], tissue=asked), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(X[:1]), overall[None], rtol=1e-5)


def test_a_gene_that_a_tissue_never_measured_comes_from_the_others(rows: tuple[np.ndarray, ...]) -> None:
    X, Y, tissue = rows
    Y[tissue == "brain", 2] = np.nan
    model = PerTissue(TrainingAverage()).fit(X, Y, tissue=tissue)
    predicted = model.predict(X[:1], tissue=np.array(["brain"]))[0]
    assert predicted[2] == pytest.approx(np.nanmean(Y[:, 2].astype(float)), rel=1e-5)
    assert predicted[1] == pytest.approx(Y[tissue == "brain", 1].astype(float).mean(), rel=1e-5)


def test_rows_are_independent(rows: tuple[np.ndarray, ...]) -> None:
    X, Y, tissue = rows
    model = PerTissue(SameGene(PAIRS)).fit(X, Y, tissue=tissue)
    order = np.random.default_rng(0).permutation(59)
    np.testing.assert_allclose(
        model.predict(X[order], tissue=tissue[order]), model.predict(X, tissue=tissue)[order], atol=1e-5
    )


@pytest.mark.parametrize(
    "name", ["median", "quantile", "ridge", "same_gene+kernel_ridge", "pls", "random_forest", "matrix_completion"]
)
def test_methods_stand_the_smallest_tissue(name: str) -> None:
    """Ten rows of four donors have a model of their own; it must be finite even with constant genes and gaps."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(3, 1, (40, 4)).astype(np.float32)
    tissue, groups = np.repeat(["liver", "brain"], [30, 10]), np.r_[np.arange(30) // 5, np.arange(10) % 4 + 6]
    X[30:, 1], X[31, 3] = 0, np.nan
    model = PerTissue(METHODS[name](PAIRS, 0)).fit(X, Y, groups=groups, tissue=tissue)
    assert "brain" in model.models_
    assert np.isfinite(model.predict(X, tissue=tissue)).all()


def test_it_needs_tissues_and_leaves_the_given_translator_alone(rows: tuple[np.ndarray, ...]) -> None:
    X, Y, tissue = rows
    model = PerTissue(KernelRidge())
    with pytest.raises(ValueError, match="needs `tissue`"):
        model.fit(X, Y)
    clone(model).fit(X, Y, tissue=tissue)
    assert not any(name.endswith("_") for name in vars(model.translator))
