from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress

from scgx.estimators import SameGene


def _paired(slopes: np.ndarray, n: int, *, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, len(slopes))) + 5
    return X.astype(np.float32), (slopes * X + noise * rng.normal(size=X.shape)).astype(np.float32)


def _identity(k: int) -> np.ndarray:
    return np.tile(np.arange(k)[:, None], 2)


def _fitted_slopes(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    fitted = SameGene(_identity(X.shape[1])).fit(X, Y)
    return (fitted.predict(X + 1) - fitted.predict(X)).mean(axis=0)


def test_slopes_are_those_of_a_random_effects_meta_analysis() -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    X, Y = _paired(np.random.default_rng(1).normal(1, 0.5, size=12), 15)
    lines = [linregress(X[:, g].astype(float), Y[:, g].astype(float)) for g in range(12)]
    slope, xx = np.array([line.slope for line in lines]), np.square(X - X.mean(axis=0)).sum(axis=0)
    residual = np.array([line.stderr**2 for line in lines]) * xx * 13
    variance = (4 * residual.mean() / 13 + residual) / (4 + 13) / xx
    effects = combine_effects(slope, variance, method_re="dl")
    expected = (slope * effects.tau2 + effects.mean_effect_re * variance) / (effects.tau2 + variance)
    np.testing.assert_allclose(_fitted_slopes(X, Y), expected, rtol=1e-3)


def test_with_many_rows_each_gene_has_its_least_squares_line() -> None:
    X, Y = _paired(np.array([0.0, 1.0, -2.0, 3.0]), 4000)
    predicted = SameGene(_identity(4)).fit(X, Y).predict(X)
    for g in range(4):
        line = linregress(X[:, g], Y[:, g])
        np.testing.assert_allclose(predicted[:, g], line.intercept + line.slope * X[:, g], atol=0.01)


def test_with_few_rows_equal_genes_lend_each_other_their_slope() -> None:
    X, Y = _paired(np.full(200, 1.5), 6)
    own = np.array([linregress(X[:, g], Y[:, g]).slope for g in range(200)])
    assert np.square(_fitted_slopes(X, Y) - 1.5).mean() < 0.05 * np.square(own - 1.5).mean()


def test_lines_pass_through_the_means(linear) -> None:
    pairs = np.array([[0, 3], [5, 1], [19, 4]])
    at_mean = SameGene(pairs).fit(linear.X, linear.Y).predict(linear.X.mean(axis=0, keepdims=True))
    np.testing.assert_allclose(at_mean[0], linear.Y.mean(axis=0), rtol=1e-3, atol=1e-4)


def test_targets_without_a_shared_gene_get_their_mean(linear) -> None:
    predicted = SameGene(np.array([[0, 3]])).fit(linear.X, linear.Y).predict(linear.X)
    others = [0, 1, 2, 4, 5, 6]
    np.testing.assert_allclose(predicted[:, others], np.tile(linear.Y[:, others].mean(0), (60, 1)), rtol=1e-5)


def test_without_pairs_it_is_the_mean(linear) -> None:
    predicted = SameGene().fit(linear.X, linear.Y).predict(linear.X[:1])
    np.testing.assert_allclose(predicted[0], linear.Y.mean(axis=0), rtol=1e-5)


def test_unrelated_pairs_fall_back_to_the_mean() -> None:
    X, Y = _paired(np.zeros(300), 10)
    own = np.array([linregress(X[:, g], Y[:, g]).slope for g in range(300)])
    assert np.square(_fitted_slopes(X, Y)).mean() < 0.05 * np.square(own).mean()


def test_two_points_do_not_make_a_line() -> None:
    x, y = np.array([[0], [1]], dtype=np.float32), np.array([[0], [4]], dtype=np.float32)
    np.testing.assert_allclose(SameGene(np.array([[0, 0]])).fit(x, y).predict(x), [[2], [2]])


def test_probes_of_a_gene_are_averaged_over_those_measured(linear) -> None:
    X = linear.X.copy()
    X[0, 2] = np.nan
    copy = SameGene(np.array([[1, 0], [2, 0]]), fit_method="copy").fit(linear.X, linear.Y)
    predicted = copy.predict(X)
    np.testing.assert_allclose(predicted[1:, 0], X[1:, [1, 2]].mean(axis=1), rtol=1e-5)
    assert predicted[0, 0] == pytest.approx((X[0, 1] + linear.X[:, 2].mean()) / 2, rel=1e-5)


def test_gaps_leave_the_lines_of_the_measured_rows(linear) -> None:
    X, Y = linear.X.copy(), linear.Y.copy()
    X[:10], Y[50:] = np.nan, np.nan
    pairs = np.array([[4, 2], [7, 3]])
    gappy = SameGene(pairs).fit(X, Y).predict(linear.X)
    alone = SameGene(pairs).fit(linear.X[10:50], linear.Y[10:50]).predict(linear.X)
    np.testing.assert_allclose(gappy[:, [2, 3]], alone[:, [2, 3]], rtol=1e-4, atol=1e-5)
