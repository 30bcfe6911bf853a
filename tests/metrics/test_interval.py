from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scgx.metrics import interval_coverage, interval_width


def test_coverage_of_normal_errors_is_the_normal_probability() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([0.5, 1.0, 4.0])
    true = rng.normal(0, scale, (20_000, 3))
    expected = stats.norm.cdf(1.5) - stats.norm.cdf(-1.5)
    assert interval_coverage(true, np.zeros_like(true), 1.5 * scale) == pytest.approx(expected, abs=0.01)
    assert interval_coverage(true, np.zeros_like(true), np.full(3, np.inf)) == 1


def test_coverage_equals_a_loop_with_gaps_and_a_width_an_entry() -> None:
    rng = np.random.default_rng(1)
    true, predicted, width = rng.normal(size=(9, 7)), rng.normal(size=(9, 7)), rng.uniform(0, 2, (9, 7))
    true[rng.random(true.shape) < 0.3] = np.nan
    inside = [
        predicted[i, j] - width[i, j] <= true[i, j] <= predicted[i, j] + width[i, j]
        for i, j in np.argwhere(~np.isnan(true))
    ]
    assert interval_coverage(true, predicted, width) == pytest.approx(sum(inside) / len(inside))


def test_an_error_of_exactly_the_half_width_is_covered() -> None:
    assert interval_coverage(np.array([[1.0, 1.25]]), np.zeros((1, 2)), np.ones(2)) == 0.5


def test_nothing_measured_has_no_coverage() -> None:
    assert np.isnan(interval_coverage(np.full((2, 2), np.nan), np.zeros((2, 2)), np.ones(2)))


def test_width_counts_every_entry_of_the_prediction() -> None:
    assert interval_width(np.array([1.0, 3.0]), (5, 2)) == 4
    assert interval_width(np.array([[1.0, 3.0], [0.0, 0.0]]), (2, 2)) == 2
