from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import QuantileNormalization

ONE = np.array([[0, 0]])


def _column(values: list[float] | np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)[:, None]


def test_any_monotone_reading_is_undone_without_pairing_rows() -> None:
    rng = np.random.default_rng(0)
    x = _column(rng.normal(size=80))
    shuffled = np.exp(x)[rng.permutation(80)]
    predicted = QuantileNormalization(ONE).fit(x, shuffled).predict(x)
    np.testing.assert_allclose(predicted, np.exp(x), rtol=1e-5)


def test_between_training_values_it_interpolates_and_outside_it_stops() -> None:
    fitted = QuantileNormalization(ONE).fit(_column([0, 1, 2]), _column([30, 10, 20]))
    np.testing.assert_allclose(fitted.predict(_column([0.5, 1.25, -9, 9]))[:, 0], [15, 22.5, 10, 30])


def test_tied_source_values_get_the_mean_of_their_quantiles() -> None:
    fitted = QuantileNormalization(ONE).fit(_column([0, 0, 0, 1]), _column([1, 2, 6, 8]))
    np.testing.assert_allclose(fitted.predict(_column([0, 1]))[:, 0], [3, 8])


def test_the_training_marginal_is_carried_over(linear) -> None:
    predicted = QuantileNormalization(np.array([[2, 5]])).fit(linear.X, linear.Y).predict(linear.X)
    np.testing.assert_allclose(np.sort(predicted[:, 5]), np.sort(linear.Y[:, 5]), rtol=1e-5)


def test_gaps_on_either_side_leave_the_quantiles_of_the_measured(linear) -> None:
    X, Y = linear.X.copy(), linear.Y.copy()
    X[:20, 0], Y[30:, 0] = np.nan, np.nan
    predicted = QuantileNormalization(ONE).fit(X, Y).predict(linear.X[20:])
    levels = np.linspace(0, 1, 60)
    x, y = np.quantile(X[20:, 0], levels), np.quantile(Y[:30, 0], levels)
    np.testing.assert_allclose(predicted[:, 0], np.interp(linear.X[20:, 0], x, y), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "pairs", [pytest.param(None, id="none"), pytest.param(np.array([[0, 2]]), id="unmeasured source")]
)
def test_what_cannot_be_mapped_gets_the_training_mean(linear, pairs: np.ndarray | None) -> None:
    X = linear.X.copy()
    X[:, 0] = np.nan
    predicted = QuantileNormalization(pairs).fit(X, linear.Y).predict(X[:3])
    np.testing.assert_allclose(predicted, np.tile(linear.Y.mean(axis=0), (3, 1)), rtol=1e-5)


def test_probes_of_a_gene_are_averaged(linear) -> None:
    mean = linear.X[:, [1, 4]].mean(axis=1, keepdims=True)
    probes = QuantileNormalization(np.array([[1, 3], [4, 3]])).fit(linear.X, linear.Y).predict(linear.X)
    single = QuantileNormalization(np.array([[0, 3]])).fit(mean, linear.Y).predict(mean)
    np.testing.assert_allclose(probes, single, rtol=1e-5)
