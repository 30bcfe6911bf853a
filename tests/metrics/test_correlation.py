from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import scgx
from scgx.metrics import average, pearson, pearson_delta, pearson_within_gene, r2_skill


@pytest.fixture
def profiles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth with gaps, a correlated prediction, a centre; 12 × 40, float32."""
    rng = np.random.default_rng(0)
    true = rng.normal(5, 2, (12, 40)).astype(np.float32)
    predicted = (0.6 * true + rng.normal(0, 1, true.shape)).astype(np.float32)
    true[rng.random(true.shape) < 0.2] = np.nan
    return true, predicted, rng.normal(5, 2, 40).astype(np.float32)


def scipy_pearson(true: np.ndarray, predicted: np.ndarray) -> float:
    used = np.isfinite(true)
    return float(stats.pearsonr(true[used].astype(float), predicted[used].astype(float)).statistic)


def test_pearson_equals_scipy_on_the_measured_entries(profiles: tuple[np.ndarray, ...]) -> None:
    true, predicted, center = profiles
    expected = [scipy_pearson(t, p) for t, p in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(pearson(true, predicted), expected, atol=1e-6)
    expected = [scipy_pearson(t - center, p - center) for t, p in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(pearson_delta(true, predicted, center), expected, atol=1e-5)
    expected = [scipy_pearson(t, p) for t, p in zip(true.T, predicted.T, strict=True)]
    np.testing.assert_allclose(pearson_within_gene(true, predicted), expected, atol=1e-6)


def test_a_center_a_row_is_taken_row_by_row(profiles: tuple[np.ndarray, ...]) -> None:
    true, predicted, _ = profiles
    centers = np.random.default_rng(1).normal(size=true.shape).astype(np.float32)
    expected = [pearson_delta(true[[i]], predicted[[i]], centers[i])[0] for i in range(len(true))]
    np.testing.assert_allclose(pearson_delta(true, predicted, centers), expected, atol=1e-12)


def test_each_side_may_have_its_own_center(profiles: tuple[np.ndarray, ...]) -> None:
    true, predicted, center = profiles
    other = center + np.random.default_rng(2).normal(0, 1, 40).astype(np.float32)
    expected = [scipy_pearson(t - center, p - other) for t, p in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(pearson_delta(true, predicted, center, other), expected, atol=1e-5)
    same = pearson_delta(true, predicted, center, center)
    np.testing.assert_array_equal(same, pearson_delta(true, predicted, center))
    copy = np.tile(other, (len(true), 1))
    assert not pearson_delta(true, copy, center, other).any()
    assert pearson_delta(true, copy, center).any()


def test_pearson_ignores_scale_and_shift_of_the_prediction(profiles: tuple[np.ndarray, ...]) -> None:
    true, predicted, _ = profiles
    np.testing.assert_allclose(pearson(true, 3 * predicted - 7), pearson(true, predicted), atol=1e-5)
    np.testing.assert_allclose(pearson(true, -predicted), -pearson(true, predicted), atol=1e-12)


def test_prediction_where_nothing_was_measured_does_not_count(profiles: tuple[np.ndarray, ...]) -> None:
    true, predicted, center = profiles
    other = np.where(np.isfinite(true), predicted, 1e6).astype(np.float32)
    np.testing.assert_array_equal(pearson(true, other), pearson(true, predicted))
    np.testing.assert_array_equal(pearson_delta(true, other, center), pearson_delta(true, predicted, center))


@pytest.mark.parametrize("value", [0.0, 0.1, 12345.678])
def test_a_prediction_without_variance_scores_zero(value: float) -> None:
    true = np.random.default_rng(0).normal(size=(3, 999)).astype(np.float32)
    assert pearson(true, np.full_like(true, value)).tolist() == [0, 0, 0]


def test_adding_nothing_to_the_center_scores_zero_even_after_rounding(profiles: tuple[np.ndarray, ...]) -> None:
    true, _, center = profiles
    rng = np.random.default_rng(0)
    as_center = np.tile(center, (len(true), 1))
    assert not pearson_delta(true, as_center, center).any()
    rounded = (as_center * (1 + rng.uniform(-2e-7, 2e-7, as_center.shape))).astype(np.float32)
    assert (rounded != as_center).any()
    assert not pearson_delta(true, rounded, center).any()
    assert not pearson_delta(true, as_center + np.float32(0.5), center).any()


def test_a_small_but_true_change_is_not_taken_for_rounding() -> None:
    rng = np.random.default_rng(0)
    center = rng.uniform(5, 15, 200).astype(np.float32)
    change = rng.normal(0, 1e-3, (4, 200))
    np.testing.assert_allclose(pearson_delta(center + change, center + 0.1 * change, center), 1, atol=0.01)


@pytest.mark.parametrize(
    "row", [pytest.param([np.nan, np.nan, np.nan], id="nothing"), pytest.param([1, np.nan, np.nan], id="one-gene"),
            pytest.param([0.1, 0.1, 0.1], id="constant")],
)  # fmt: skip
def test_truth_without_variance_has_no_correlation(row: list[float]) -> None:
    true = np.array([row, [1, 2, 3]], dtype=np.float32)
    predicted = np.array([[1, 2, 4], [1, 2, 3]], dtype=np.float32)
    np.testing.assert_allclose(pearson(true, predicted), [np.nan, 1])


def test_average_leaves_out_what_has_no_score() -> None:
    assert average(np.array([1.0, np.nan, 0.0])) == 0.5
    assert np.isnan(average(np.array([np.nan, np.nan])))


def test_gene_differences_inflate_raw_pearson_and_nothing_else() -> None:
    """The known failure: on raw expression the profile of gene means looks like a near-perfect prediction."""
    rng = np.random.default_rng(0)
    genes = rng.normal(6, 3, 300)
    train, test = (genes + rng.normal(0, 0.7, (n, 300)) for n in (80, 40))
    mean = train.mean(axis=0)
    predicted = np.tile(mean, (len(test), 1))
    assert pearson(test, predicted).min() > 0.9
    assert not pearson_delta(test, predicted, mean).any()
    assert not pearson_within_gene(test, predicted).any()
    assert r2_skill(test, predicted, mean) == 0


def test_gene_differences_inflate_raw_pearson_on_real_cells() -> None:
    _, target, held_out = scgx.datasets.pbmc_panels()
    mean = target.X.toarray().mean(axis=0)
    test = held_out.X.toarray()
    predicted = np.tile(mean, (len(test), 1))
    assert average(pearson(test, predicted)) > 0.5
    assert not pearson_delta(test, predicted, mean).any()
    assert r2_skill(test, predicted, mean) == 0
