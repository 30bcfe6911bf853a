from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from scgx.estimators import PLS, GeneScaler
from scgx.estimators._base import group_folds


def _reference(X: np.ndarray, Y: np.ndarray, k: int, query: np.ndarray) -> np.ndarray:
    model = PLSRegression(k, scale=False, max_iter=100_000, tol=1e-14)
    return model.fit(X.astype(np.float64), Y.astype(np.float64)).predict(query.astype(np.float64))


@pytest.mark.parametrize(
    ("p", "m"),
    [
        pytest.param(20, 7, id="more rows than genes"),
        pytest.param(200, 7, id="wide source"),
        pytest.param(20, 150, id="wide target"),
        pytest.param(200, 150, id="both wide"),
        pytest.param(20, 1, id="one target"),
    ],
)
def test_it_is_scikit_learns_pls_of_pareto_scaled_genes(make_linear, p: int, m: int) -> None:
    data = make_linear(60, p, m)
    ours = PLS((4,)).fit(data.X[:50], data.Y[:50]).predict(data.X[50:])
    scaler = GeneScaler("pareto").fit(data.X[:50])
    expected = _reference(scaler.transform(data.X[:50]), data.Y[:50], 4, scaler.transform(data.X[50:]))
    np.testing.assert_allclose(ours, expected.reshape(10, m), rtol=1e-3, atol=1e-3)


def test_the_number_of_components_is_that_of_refitting_each(make_linear) -> None:
    data = make_linear(60, 100, 30, noise=1.0)
    candidates = (1, 2, 4, 8, 16)
    ours = PLS(candidates, seed=3).fit(data.X, data.Y, groups=data.groups)
    scaled, errors = GeneScaler("pareto").fit_transform(data.X), dict.fromkeys(candidates, 0.0)
    for train, test in group_folds(60, data.groups, n_folds=5, seed=3):
        for k in candidates:
            predicted = _reference(scaled[train], data.Y[train], k, scaled[test])
            errors[k] += np.square(predicted - data.Y[test]).sum()
    assert ours.n_components_ == min(errors, key=errors.get)


def test_components_are_cut_to_what_the_rows_carry(make_linear) -> None:
    data = make_linear(6, 20, 7)
    model = PLS((25,), n_folds=3).fit(data.X, data.Y)
    assert model.n_components_ == 3  # four rows in the smallest training fold


def test_a_target_of_few_dimensions_is_fitted_exactly(make_linear) -> None:
    data = make_linear(60, 10, 3, noise=0.0)
    predicted = PLS((10,)).fit(data.X[:40], data.Y[:40]).predict(data.X[40:])
    np.testing.assert_allclose(predicted, data.Y[40:], atol=1e-3)


def test_missing_targets_count_as_their_mean(linear, with_gaps) -> None:
    gappy = with_gaps(linear.Y, 0.2)
    filled = np.where(np.isnan(gappy), np.nanmean(gappy, axis=0), gappy)
    predicted = [PLS().fit(linear.X, Y, groups=linear.groups).predict(linear.X) for Y in (gappy, filled)]
    np.testing.assert_allclose(*predicted, rtol=1e-3, atol=1e-4)


def test_constant_targets_are_their_mean(linear) -> None:
    predicted = PLS().fit(linear.X, np.full_like(linear.Y, 2.5)).predict(linear.X)
    np.testing.assert_allclose(predicted, 2.5)
