from __future__ import annotations

import numpy as np
import pytest

from scgx.metrics import r2_skill
from scgx.selection import paired_bootstrap


def draw_errors(rng: np.random.Generator, n_groups: int = 40, rows: int = 3) -> tuple[np.ndarray, ...]:
    """Squared errors of two predictions and a reference: hard groups, and 0.1 more skill for the first."""
    groups = np.repeat(np.arange(n_groups), rows)
    hard = rng.lognormal(0, 0.5, n_groups)[groups]
    gap = 0.1 + 0.1 * rng.normal(size=n_groups)[groups]  # rows of a group agree on who is better
    reference = hard * rng.gamma(20, 1 / 20, len(groups))
    a = hard * (0.5 + 0.02 * rng.normal(size=len(groups)))
    return a, a + hard * gap, reference, groups


def test_difference_is_that_of_the_two_skills() -> None:
    rng = np.random.default_rng(0)
    true, mean = rng.normal(size=(30, 8)), np.zeros(8)
    first, second = 0.8 * true, 0.4 * true + 0.1
    errors = [((true - p) ** 2).sum(axis=1) for p in (first, second, np.zeros_like(true))]
    result = paired_bootstrap(*errors)
    assert result.difference == pytest.approx(r2_skill(true, first, mean) - r2_skill(true, second, mean))
    assert 0 < result.low < result.difference < result.high
    assert result.n_groups == 30


def test_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        a, b, reference, groups = draw_errors(rng)
        result = paired_bootstrap(a, b, reference, groups=groups, n_resamples=400)
        held.append(result.low <= 0.1 <= result.high)
    assert 0.9 <= np.mean(held) <= 0.985


def test_rows_instead_of_groups_make_the_interval_too_narrow() -> None:
    a, b, reference, groups = draw_errors(np.random.default_rng(0), n_groups=30, rows=8)
    by_group = paired_bootstrap(a, b, reference, groups=groups)
    by_row = paired_bootstrap(a, b, reference)
    assert by_group.difference == pytest.approx(by_row.difference)
    assert by_group.high - by_group.low > 1.5 * (by_row.high - by_row.low)
    assert (by_group.n_groups, by_row.n_groups) == (30, 240)


def test_pairing_cancels_what_is_hard_for_both() -> None:
    rng = np.random.default_rng(0)
    a, b, reference, groups = draw_errors(rng)
    paired = paired_bootstrap(a, b, reference, groups=groups)
    shuffled = rng.permutation(len(b))
    unpaired = paired_bootstrap(a, b[shuffled], reference, groups=groups)
    assert paired.high - paired.low < 0.7 * (unpaired.high - unpaired.low)


def test_identical_errors_differ_by_exactly_nothing() -> None:
    a, _, reference, groups = draw_errors(np.random.default_rng(0))
    result = paired_bootstrap(a, a, reference, groups=groups)
    assert (result.difference, result.low, result.high) == (0, 0, 0)


def test_exchange_of_the_two_mirrors_the_result() -> None:
    a, b, reference, groups = draw_errors(np.random.default_rng(0))
    one, other = (paired_bootstrap(x, y, reference, groups=groups) for x, y in ((a, b), (b, a)))
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_level_is_the_probability_between_the_bounds() -> None:
    """For many groups the interval is that of a normal: ratio of widths 1.960 / 0.674."""
    a, b, reference, _ = draw_errors(np.random.default_rng(0), n_groups=400, rows=1)
    wide, narrow = (paired_bootstrap(a, b, reference, level=level, n_resamples=8000) for level in (0.95, 0.5))
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(1.960 / 0.674, rel=0.08)


def test_equal_seeds_agree_and_the_order_of_rows_does_not_matter(unchanged_rng: None) -> None:
    a, b, reference, groups = draw_errors(np.random.default_rng(0))
    result = paired_bootstrap(a, b, reference, groups=groups, seed=3)
    order = np.random.default_rng(1).permutation(len(a))
    again = paired_bootstrap(a[order], b[order], reference[order], groups=groups[order].astype(float), seed=3)
    assert (again.low, again.high) == pytest.approx((result.low, result.high))
    assert paired_bootstrap(a, b, reference, groups=groups, seed=4).low != result.low


def test_one_group_is_refused() -> None:
    with pytest.raises(ValueError, match="`groups` holds 1 group; .* at least 2"):
        paired_bootstrap(np.ones(5), np.ones(5), np.ones(5), groups=np.zeros(5))
