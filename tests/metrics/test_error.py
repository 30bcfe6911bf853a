from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score

import scgx
from scgx.metrics import mae, mae_extreme, mae_strong, r2_skill

Metric = Callable[[np.ndarray, np.ndarray], float]


@pytest.fixture
def changes() -> tuple[np.ndarray, np.ndarray]:
    """log10 fold changes with gaps and a prediction, 30 × 20, float32."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 0.6, (30, 20)).astype(np.float32)
    predicted = (0.5 * true + rng.normal(0, 0.2, true.shape)).astype(np.float32)
    true[rng.random(true.shape) < 0.1] = np.nan
    return true, predicted


@pytest.mark.parametrize(
    ("metric", "threshold"),
    [pytest.param(mae, 0, id="all"), pytest.param(mae_strong, math.log10(2), id="strong"),
     pytest.param(mae_extreme, 1, id="extreme")],
)  # fmt: skip
def test_mean_absolute_error_equals_a_loop(
    changes: tuple[np.ndarray, np.ndarray], metric: Metric, threshold: float
) -> None:
    true, predicted = changes
    errors = [
        abs(float(t) - float(p))
        for t, p in zip(true.flat, predicted.flat, strict=True)
        if not math.isnan(t) and abs(t) >= threshold
    ]
    assert 5 < len(errors) <= np.isfinite(true).sum()
    assert metric(true, predicted) == pytest.approx(math.fsum(errors) / len(errors), rel=1e-6)


def test_errors_equal_scikit_learn_on_complete_data(changes: tuple[np.ndarray, np.ndarray]) -> None:
    true, predicted = np.nan_to_num(changes[0]), changes[1]
    assert mae(true, predicted) == pytest.approx(mean_absolute_error(true, predicted), rel=1e-6)
    # the mean of the very rows that are scored makes skill the variance-weighted R²
    expected = r2_score(true, predicted, multioutput="variance_weighted")
    assert r2_skill(true, predicted, true.mean(axis=0)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("by_row", [False, True], ids=["reference-m", "reference-n×m"])
def test_skill_equals_a_loop_over_measured_entries(changes: tuple[np.ndarray, np.ndarray], by_row: bool) -> None:
    true, predicted = changes
    reference = np.random.default_rng(1).normal(0, 0.1, true.shape if by_row else true.shape[1])
    full = np.broadcast_to(reference, true.shape)
    error = baseline = 0.0
    for i, j in zip(*np.nonzero(np.isfinite(true)), strict=True):
        error += (float(true[i, j]) - float(predicted[i, j])) ** 2
        baseline += (float(true[i, j]) - float(full[i, j])) ** 2
    assert r2_skill(true, predicted, reference) == pytest.approx(1 - error / baseline, rel=1e-6)


def test_skill_has_its_fixed_points(changes: tuple[np.ndarray, np.ndarray]) -> None:
    true, predicted = changes
    reference = np.nanmean(true, axis=0)
    assert r2_skill(true, np.nan_to_num(true), reference) == 1
    assert r2_skill(true, np.tile(reference, (len(true), 1)), reference) == 0
    assert r2_skill(true, -predicted, reference) < 0


def test_nothing_measured_gives_nan(changes: tuple[np.ndarray, np.ndarray]) -> None:
    nothing = np.full_like(changes[1], np.nan)
    assert math.isnan(mae(nothing, changes[1]))
    assert math.isnan(r2_skill(nothing, changes[1], np.zeros(20)))
    assert math.isnan(mae_extreme(np.full((2, 2), 0.9), np.zeros((2, 2))))


def test_predicting_no_change_fools_the_error_over_all_genes_only() -> None:
    """92 % of fold changes are near zero: the plain error prefers no change to a prediction that finds the rest."""
    true = scgx.datasets.simulate_platforms(n_obs=150, n_source=20, n_target=200, seed=0)["target"].X
    strong = np.abs(true) >= math.log10(2)
    noise = np.random.default_rng(0).normal(0, 0.25, true.shape).astype(np.float32)
    finder, zero = true + np.where(strong, 0.2 * noise, noise), np.zeros_like(true)
    assert mae(true, zero) < 0.15 < mae(true, finder)
    assert mae_strong(true, zero) > 0.4 > 5 * mae_strong(true, finder)
    assert mae_extreme(true, zero) > 1
