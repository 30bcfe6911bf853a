from __future__ import annotations

import numpy as np
import pytest

from scgx.metrics import e_distance, gap_closed, mae, pearson, pearson_delta, split_half_ceiling


def test_ceiling_is_the_reliability_of_half_of_the_replicates() -> None:
    """Signal of variance 1 and noise of variance s² in each of n replicates: r = 1 / (1 + 2 s² / n)."""
    rng = np.random.default_rng(0)
    signal = np.repeat(rng.normal(0, 1, (3, 4000)), 20, axis=0)
    values = signal + rng.normal(0, 3, signal.shape)
    condition = np.repeat(["a", "b", "c"], 20)
    ceiling = split_half_ceiling(values, condition, pearson, n_splits=5)
    np.testing.assert_allclose(ceiling, 1 / (1 + 2 * 9 / 20), atol=0.03)


def test_ceiling_equals_the_score_of_the_only_two_halves() -> None:
    rng = np.random.default_rng(0)
    values, condition = rng.normal(size=(4, 30)), np.array(["b", "a", "a", "b"])
    expected = pearson(values[[1, 0]], values[[2, 3]])  # conditions in sorted order; pearson is symmetric
    np.testing.assert_allclose(split_half_ceiling(values, condition, pearson), expected)
    error = np.abs(values[1] - values[2]).sum() + np.abs(values[0] - values[3]).sum()
    assert split_half_ceiling(values, condition, mae) == pytest.approx(error / 60)


def test_controls_are_halved_too(unchanged_rng: None) -> None:
    """Without an effect there is nothing to agree on; one set of controls for both halves would agree with itself."""
    rng = np.random.default_rng(0)
    values, control = rng.normal(size=(40, 3000)), rng.normal(size=(40, 3000))
    condition = np.repeat("a", 40)
    ceiling = split_half_ceiling(values, condition, pearson, control=control)
    assert abs(np.asarray(ceiling)[0]) < 0.1
    shared = split_half_ceiling(values - control.mean(axis=0), condition, pearson)
    assert np.asarray(shared)[0] > 0.2


def test_a_condition_without_replicate_and_a_gene_without_measurement_are_left_out() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 20))
    values[0, 3] = np.nan  # condition a has this gene in one replicate only
    condition = np.array(["a", "a", "b", "b", "single"])
    found = split_half_ceiling(values, condition, pearson)
    kept = np.delete(np.arange(20), 3)
    expected = pearson(values[[0]][:, kept], values[[1]][:, kept])[0], pearson(values[[2]], values[[3]])[0]
    np.testing.assert_allclose(found, [*expected, np.nan])


def test_wrong_replicates_are_named() -> None:
    values = np.ones((4, 3))
    with pytest.raises(ValueError, match="`condition` has 3 entries for 4 rows"):
        split_half_ceiling(values, np.array(list("abc")), mae)
    with pytest.raises(ValueError, match="`control` has 1 cells; two halves need at least 2"):
        split_half_ceiling(values, np.array(list("aabb")), mae, control=values[:1])


def test_share_of_the_gap() -> None:
    assert gap_closed(0.5, [0.2, 0.4], 0.8) == pytest.approx(0.25)
    assert gap_closed(3.0, [4.0, 9.0], 2.0, higher_is_better=False) == pytest.approx(0.5)
    assert gap_closed(0.4, [0.4, np.nan], 0.8) == 0
    assert gap_closed(0.3, 0.4, 0.8) == pytest.approx(-0.25)


@pytest.mark.parametrize(
    ("score", "baselines", "ceiling"),
    [
        pytest.param(0.9, [0.8], 0.8, id="no-gap"),
        pytest.param(0.9, [0.8], 0.7, id="baseline-above-ceiling"),
        pytest.param(0.9, [], 0.7, id="no-baseline"),
        pytest.param(0.9, [0.1], np.nan, id="no-ceiling"),
        pytest.param(np.nan, [0.1], 0.7, id="no-score"),
    ],
)
def test_no_gap_has_no_share(score: float, baselines: list[float], ceiling: float) -> None:
    assert np.isnan(gap_closed(score, baselines, ceiling))


def test_permuted_predictions_close_nothing() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20, 200))
    predicted, control = true + rng.normal(size=true.shape), np.zeros(200)

    def share(values: np.ndarray) -> float:
        return gap_closed(pearson_delta(true, values, control).mean(), 0.0, 1.0)

    assert share(predicted) > 0.6
    assert abs(share(np.roll(predicted, 1, axis=0))) < 0.1
    cells = true + 5 * np.eye(20, 200)
    assert gap_closed(e_distance(true, cells), e_distance(true, cells + 9), 0, higher_is_better=False) > 0.9
