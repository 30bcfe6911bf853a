from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from scgx.selection import conformal_half_width, conformal_half_width_by, held_out_coverage


def order_statistic(residuals: np.ndarray, level: Fraction) -> float:
    """The ceil((n + 1) level)-th smallest absolute residual, in exact arithmetic."""
    sizes = sorted(abs(float(r)) for r in residuals if not math.isnan(r))
    rank = math.ceil((len(sizes) + 1) * level)
    return sizes[rank - 1] if rank <= len(sizes) else math.inf


@pytest.mark.parametrize("level", ["0.5", "0.55", "0.9", "0.95"])
@pytest.mark.parametrize("n", [1, 4, 8, 9, 19, 20, 60, 99, 199])
def test_width_is_the_order_statistic_of_the_measured_residuals(n: int, level: str) -> None:
    rng = np.random.default_rng(n)
    residuals = rng.normal(size=(n, 30)).astype(np.float32)
    residuals[:, 10:][rng.random((n, 20)) < 0.3] = np.nan
    residuals[:, 29] = np.nan
    expected = [order_statistic(column, Fraction(level)) for column in residuals.T]
    np.testing.assert_array_equal(conformal_half_width(residuals, float(level)), np.float32(expected))


def test_too_few_rows_for_the_level_have_no_finite_interval() -> None:
    residuals = np.arange(1.0, 10.0)[:, None]
    assert conformal_half_width(residuals, 0.9).tolist() == [9]
    assert conformal_half_width(residuals[:8], 0.9).tolist() == [math.inf]
    assert conformal_half_width(np.full((50, 1), np.nan), 0.9).tolist() == [math.inf]


@pytest.mark.parametrize("n", [9, 10, 25, 60, 199])
def test_coverage_of_a_new_row_is_the_level_in_finite_samples(n: int) -> None:
    """Each gene is a simulation of its own; the guarantee is rank / (n + 1), whatever the distribution."""
    rng = np.random.default_rng(n)
    residuals = rng.standard_t(3, size=(n + 1, 20_000)) * rng.lognormal(0, 1, 20_000)
    covered = np.mean(np.abs(residuals[0]) <= conformal_half_width(residuals[1:], 0.9))
    expected = math.ceil((n + 1) * Fraction("0.9")) / (n + 1)
    error = math.sqrt(0.1 * 0.9 / 20_000)
    assert covered >= 0.9 - 4 * error
    assert covered == pytest.approx(expected, abs=4 * error)


def test_width_by_label_covers_within_each_label() -> None:
    """Noisy rows are one in five: one width for all leaves them uncovered."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["calm", "noisy"], [160, 40])
    scale = np.where(labels == "calm", 1, 5)[:, None]
    residuals, new = rng.normal(0, scale, (2, 200, 2000))
    names, widths = conformal_half_width_by(residuals, 0.9, labels)
    assert names.tolist() == ["calm", "noisy"]
    overall = conformal_half_width(residuals, 0.9)
    for name, width in zip(names, widths, strict=True):
        rows = labels == name
        assert np.mean(np.abs(new[rows]) <= width) == pytest.approx(0.905, abs=0.015)
        np.testing.assert_array_equal(width, conformal_half_width(residuals[rows], 0.9))
    assert np.mean(np.abs(new[labels == "noisy"]) <= overall) < 0.75


def test_a_label_with_too_few_rows_takes_the_width_over_all() -> None:
    rng = np.random.default_rng(0)
    residuals = rng.normal(size=(40, 3))
    residuals[5:36, 2] = np.nan  # 9 rows of this gene, 5 of them of the rare label: enough over all only
    labels = np.array(["rare"] * 5 + ["common"] * 35)
    names, widths = conformal_half_width_by(residuals, 0.9, labels)
    overall = conformal_half_width(residuals, 0.9)
    np.testing.assert_array_equal(widths[names.tolist().index("rare")], overall)
    assert widths[names.tolist().index("common")][2] == overall[2] < np.inf
    assert widths[names.tolist().index("common")][0] == conformal_half_width(residuals[5:], 0.9)[0]


@pytest.mark.parametrize("level", [0, 1, 90, -0.1, float("nan")])
def test_level_outside_zero_to_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"`interval` must lie between 0 and 1.*found {level}"):
        conformal_half_width(np.zeros((20, 1)), level)


def test_held_out_coverage_counts_by_the_widths_of_the_other_folds() -> None:
    rng = np.random.default_rng(0)
    residuals, fold = rng.normal(size=(60, 4)), np.arange(60) % 3
    residuals[:7, 2] = np.nan
    inside = []
    for row, gene in np.argwhere(np.isfinite(residuals)):
        width = order_statistic(residuals[fold != fold[row], gene], Fraction("0.8"))
        inside.append(abs(residuals[row, gene]) <= np.float32(width))
    assert held_out_coverage(residuals, fold, 0.8) == pytest.approx(np.mean(inside))


def test_infinite_intervals_are_not_counted_as_right() -> None:
    residuals = np.random.default_rng(0).normal(size=(12, 5))
    assert math.isnan(held_out_coverage(residuals, np.repeat([0, 1], 6), 0.9))  # 6 rows give no interval of 0.9
    assert math.isnan(held_out_coverage(residuals, np.zeros(12), 0.5))
    uneven = np.array([0] * 2 + [1] * 10)  # only the first fold has an interval: from the ten rows of the other
    expected = np.abs(residuals[:2]) <= conformal_half_width(residuals[2:], 0.9)
    assert held_out_coverage(residuals, uneven, 0.9) == pytest.approx(expected.mean())
