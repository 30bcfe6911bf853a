from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scgx.estimators import GeneScaler, MatrixCompletion
from scgx.estimators._matrix_completion import ridge_factors


@pytest.fixture
def low_rank() -> tuple[np.ndarray, np.ndarray]:
    """Thirty source and twenty target genes that three factors drive without noise."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(150, 3)) @ rng.normal(size=(3, 50)) + rng.normal(size=50)
    return values[:, :30].astype(np.float32), values[:, 30:].astype(np.float32)


def test_new_rows_of_a_low_rank_matrix_are_recovered_through_gaps(
    low_rank: tuple[np.ndarray, np.ndarray], with_gaps
) -> None:
    X, Y = low_rank
    model = MatrixCompletion(rank=(3,), penalty=(1e-3,), n_iterations=100)
    model.fit(with_gaps(X[:100], 0.3), with_gaps(Y[:100], 0.3))
    residual = model.predict(with_gaps(X[100:], 0.3)) - Y[100:]
    assert np.square(residual).mean() < 0.02 * Y.var()


def test_rank_and_penalty_are_chosen_for_left_out_rows(low_rank: tuple[np.ndarray, np.ndarray]) -> None:
    X, Y = low_rank
    rng = np.random.default_rng(1)
    model = MatrixCompletion(rank=(1, 3, 30), penalty=(0.001, 0.5))
    model.fit(X + rng.normal(size=X.shape).astype(np.float32), Y + rng.normal(size=Y.shape).astype(np.float32))
    assert model.rank_ == 3
    largest = model.penalty_ / 0.001  # penalties are relative to the largest singular value
    joined = np.hstack([model.source_loadings_.T, model.target_loadings_.T])
    assert np.linalg.norm(joined, axis=1).max() == pytest.approx(np.sqrt(largest), rel=0.3)


def test_without_gaps_loadings_are_the_thresholded_decomposition(linear) -> None:
    model = MatrixCompletion(rank=(4,), penalty=(0.1,)).fit(linear.X, linear.Y)
    joined = np.hstack([GeneScaler("pareto").fit_transform(linear.X), GeneScaler("pareto").fit_transform(linear.Y)])
    _, singular, right = np.linalg.svd(joined.astype(np.float64), full_matrices=False)
    kept = (right[:4].T * np.maximum(singular[:4] - 0.1 * singular[0], 0)) @ right[:4]
    loadings = np.vstack([model.source_loadings_, model.target_loadings_])
    np.testing.assert_allclose(loadings @ loadings.T, kept, atol=2e-3 * np.abs(kept).max())


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_factors_are_scikit_learns_ridge_a_row(with_gaps, share: float) -> None:
    rng = np.random.default_rng(0)
    values = with_gaps(rng.normal(size=(9, 40)).astype(np.float32), share)
    loadings = rng.normal(size=(40, 5)).astype(np.float32)
    ours = ridge_factors(np.nan_to_num(values), np.isfinite(values), loadings, 0.7)
    for row, factors in zip(values, ours, strict=True):
        seen = np.isfinite(row)
        reference = Ridge(0.7, fit_intercept=False).fit(loadings[seen].astype(float), row[seen].astype(float))
        np.testing.assert_allclose(factors, reference.coef_, rtol=1e-3, atol=1e-4)


def test_a_row_without_any_source_gets_the_training_mean(linear) -> None:
    model = MatrixCompletion(rank=(3,), penalty=(0.1,)).fit(linear.X, linear.Y)
    predicted = model.predict(np.full((1, 20), np.nan, dtype=np.float32))
    np.testing.assert_allclose(predicted[0], linear.Y.mean(axis=0), rtol=1e-5)


def test_rank_is_cut_to_the_matrix(make_linear) -> None:
    data = make_linear(8, 20, 7)
    model = MatrixCompletion(rank=(40,), penalty=(0.01,)).fit(data.X, data.Y)
    assert model.rank_ == model.source_loadings_.shape[1] == 8
    assert np.isfinite(model.predict(data.X)).all()
