from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.neighbors import KNeighborsClassifier

from scgx.estimators import BaseLabelClassifier, CentroidLabels, LogisticLabels, NeighborLabels, SklearnLabels

EVERY = [
    pytest.param(CentroidLabels(), id="centroid"),
    pytest.param(NeighborLabels(), id="knn"),
    pytest.param(LogisticLabels(), id="logistic"),
    pytest.param(SklearnLabels(KNeighborsClassifier(3)), id="sklearn"),
]


def cells(seed: int = 0, *, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """90 rows × 40 genes of three classes in two batches, counts-like with zeros; the batches differ by ``shift``."""
    rng = np.random.default_rng(seed)
    y = np.repeat(["a", "b", "c"], 30)
    batch = np.tile(["x", "y"], 45)
    centre = {name: rng.gamma(1, 2, size=40) for name in "abc"}
    X = np.stack([centre[name] for name in y]) + rng.normal(size=(90, 40))
    X[batch == "y"] += shift * rng.normal(size=40)
    return np.where(X > 0.5, X, 0).astype(np.float32), y, batch


@pytest.mark.parametrize("classifier", EVERY)
def test_classes_are_told_and_probabilities_sum_to_one(classifier: BaseLabelClassifier) -> None:
    X, y, _ = cells()
    rows = np.random.default_rng(1).permutation(90)
    fitted = classifier.fit(X[rows[:60]], y[rows[:60]])
    probability = fitted.predict_proba(X[rows[60:]])
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert (fitted.predict(X[rows[60:]]) == y[rows[60:]]).mean() > 0.9


@pytest.mark.parametrize("classifier", EVERY)
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_rows_give_the_labels_of_dense_rows(classifier: BaseLabelClassifier, form: type) -> None:
    X, y, batch = cells()
    dense = classifier.fit(X, y, batch=batch).predict(X, batch=batch)
    assert (classifier.fit(form(X), y, batch=batch).predict(form(X), batch=batch) == dense).mean() > 0.97


@pytest.mark.parametrize("classifier", EVERY[:3])
def test_the_order_of_genes_does_not_matter(classifier: BaseLabelClassifier) -> None:
    X, y, _ = cells()
    order = np.random.default_rng(3).permutation(X.shape[1])
    np.testing.assert_allclose(
        classifier.fit(X, y).predict_proba(X), classifier.fit(X[:, order], y).predict_proba(X[:, order]), atol=2e-3
    )


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_centroid_correlation_is_pearson_of_rows_centred_by_batch(form: type) -> None:
    X, y, batch = cells(shift=2)
    centred = X.astype(np.float64)
    for name in "xy":
        centred[batch == name] -= centred[batch == name].mean(axis=0)
    centroids = np.stack([centred[y == name].mean(axis=0) for name in "abc"])
    expected = np.corrcoef(centred, centroids)[:90, 90:]
    fitted = CentroidLabels().fit(form(X), y, batch=batch)
    np.testing.assert_allclose(fitted.correlation(form(X), batch=batch), expected, atol=1e-5)


def test_centroid_without_batches_is_plain_correlation() -> None:
    X, y, _ = cells()
    expected = np.corrcoef(X, np.stack([X[y == name].mean(axis=0) for name in "abc"]))[:90, 90:]
    np.testing.assert_allclose(CentroidLabels().fit(X, y).correlation(X), expected, atol=1e-5)


def test_centring_takes_out_what_a_study_adds_to_a_gene() -> None:
    X, y, batch = cells(shift=8)
    train, test = batch == "x", batch == "y"
    plain = CentroidLabels().fit(X[train], y[train]).predict(X[test])
    centred = CentroidLabels().fit(X[train], y[train], batch=batch[train]).predict(X[test], batch=batch[test])
    assert (centred == y[test]).mean() > (plain == y[test]).mean() + 0.1


def test_a_flat_row_correlates_with_nothing() -> None:
    X, y, _ = cells()
    assert not CentroidLabels().fit(X, y).correlation(np.full((1, 40), 3.0, dtype=np.float32)).any()


def test_few_rows_and_genes_are_enough_for_neighbours() -> None:
    X = np.array([[0.0, 1], [0, 2], [5, 1], [5, 2]], dtype=np.float32)
    assert NeighborLabels().fit(X, np.array(["a", "a", "b", "b"])).predict(X).tolist() == ["a", "a", "b", "b"]
