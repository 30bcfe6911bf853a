from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import KernelRidge, TargetForest


@pytest.fixture
def stepwise() -> tuple[np.ndarray, np.ndarray]:
    """Forty target genes that jump with the signs of three of 25 source genes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 25)).astype(np.float32)
    Y = np.sign(X[:, :3]) @ rng.normal(size=(3, 40)) + 0.1 * rng.normal(size=(240, 40))
    return X, Y.astype(np.float32)


def test_it_finds_steps_that_ridge_misses(stepwise: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = stepwise
    forest, ridge = TargetForest(n_trees=50), KernelRidge(kernel="linear")
    errors = [np.square(Y[160:] - model.fit(X[:160], Y[:160]).predict(X[160:])).mean() for model in (forest, ridge)]
    assert errors[0] < 0.5 * errors[1]


def test_the_number_of_features_tried_serves_sparse_signal(stepwise: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = stepwise
    assert TargetForest(n_trees=5, max_features=(1, 500)).fit(X, Y).max_features_ == X.shape[1]


def test_predictions_span_as_many_dimensions_as_components(stepwise: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = stepwise
    predicted = TargetForest(n_components=2, n_trees=20).fit(X, Y).predict(X)
    singular = np.linalg.svd(predicted - predicted.mean(axis=0), compute_uv=False)
    assert singular[2] < 1e-4 * singular[1]


def test_a_leaf_holds_components_and_not_genes(stepwise: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = stepwise
    model = TargetForest(n_components=5, n_trees=2).fit(X, np.tile(Y, 50))
    assert model.forest_.estimators_[0].tree_.value.shape[1] == 5
    assert model.predict(X[:2]).shape == (2, 2000)


def test_a_single_target_is_its_own_component(stepwise: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = stepwise
    predicted = TargetForest(n_trees=50).fit(X[:160], Y[:160, :1]).predict(X[160:])
    assert np.corrcoef(predicted[:, 0], Y[160:, 0])[0, 1] > 0.9


def test_missing_targets_count_as_their_mean(stepwise: tuple[np.ndarray, np.ndarray], with_gaps) -> None:
    X, gappy = stepwise[0], with_gaps(stepwise[1], 0.2)
    filled = np.where(np.isnan(gappy), np.nanmean(gappy, axis=0), gappy)
    predicted = [TargetForest(n_trees=10, max_features=(9,)).fit(X, Y).predict(X) for Y in (gappy, filled)]
    assert np.corrcoef(predicted[0].ravel(), predicted[1].ravel())[0, 1] > 0.999


def test_it_says_that_it_cannot_be_saved() -> None:
    assert not TargetForest.savable
