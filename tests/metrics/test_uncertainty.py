from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from scgx.metrics import crps, mae, risk_coverage_curve


def test_crps_equals_its_integral_over_the_measured_entries() -> None:
    rng = np.random.default_rng(0)
    true, ensemble = rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 7))
    true[0, 1] = np.nan

    def integral(y: float, members: np.ndarray) -> float:
        edges = sorted([*members, y])
        steps = [quad(lambda t: (np.mean(members <= t) - (y <= t)) ** 2, a, b)[0] for a, b in zip(edges, edges[1:])]  # noqa: B905
        return sum(steps)

    expected = [integral(true[i, j], ensemble[i, j]) for i, j in np.argwhere(~np.isnan(true))]
    assert crps(true, ensemble) == pytest.approx(np.mean(expected), rel=1e-4)


def test_crps_of_a_point_is_the_absolute_error_and_of_the_truth_lowest() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(50, 40)), rng.normal(size=(50, 40))
    assert crps(true, predicted[:, :, None]) == pytest.approx(mae(true, predicted))
    quantiles = stats.norm.ppf((np.arange(200) + 0.5) / 200)

    def of(scale: float) -> float:
        return crps(true, np.broadcast_to(scale * quantiles, (50, 40, 200)))

    # a standard normal forecast of a standard normal has an expected score of 1/√π
    assert of(1) == pytest.approx(1 / np.sqrt(np.pi), abs=0.02)
    assert of(1) < min(of(0.5), of(2))


def test_crps_without_a_full_answer_is_nan() -> None:
    true = np.array([[1.0, np.nan]])
    ensemble = np.zeros((1, 2, 3))
    ensemble[0, 1, 0] = np.nan  # not measured: does not matter
    assert crps(true, ensemble) == 1
    ensemble[0, 0, 0] = np.nan
    assert np.isnan(crps(true, ensemble))
    assert np.isnan(crps(true * np.nan, np.zeros((1, 2, 3))))


def test_crps_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"one more axis of predictions; found \(2, 3\) for \(2, 3\)"):
        crps(np.zeros((2, 3)), np.zeros((2, 3)))
    monkeypatch.setitem(sys.modules, "scoringrules", None)
    with pytest.raises(ImportError, match=r"scgx-tools\[eval\]"):
        crps(np.zeros((2, 3)), np.zeros((2, 3, 1)))


def test_risk_coverage_equals_a_loop_with_ties_and_gaps() -> None:
    rng = np.random.default_rng(0)
    error, uncertainty = rng.random((6, 5)), rng.integers(1, 5, (6, 5)).astype(float)
    error[rng.random(error.shape) < 0.2] = np.nan
    uncertainty[0, 0] = np.inf
    error[0, 0] = 0.7
    used = ~np.isnan(error)
    coverage, risk = risk_coverage_curve(error, uncertainty)
    levels = np.unique(uncertainty[used])
    np.testing.assert_allclose(coverage, [(uncertainty[used] <= level).mean() for level in levels])
    np.testing.assert_allclose(risk, [error[used][uncertainty[used] <= level].mean() for level in levels])
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(np.nanmean(error))


def test_a_half_width_a_gene_broadcasts() -> None:
    error = np.array([[1.0, 5.0], [3.0, 7.0]])
    coverage, risk = risk_coverage_curve(error, np.array([0.1, 0.2]))
    assert coverage.tolist() == [0.5, 1]
    assert risk.tolist() == [2, 4]


def test_uncertainty_that_knows_rises_and_one_that_does_not_is_flat() -> None:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.1, 2, 20_000)
    error = np.abs(rng.normal(0, scale))
    coverage, risk = risk_coverage_curve(error, scale)
    assert risk[coverage > 0.1].min() < 0.25 * risk[-1]
    coverage, risk = risk_coverage_curve(error, rng.permutation(scale))
    np.testing.assert_allclose(risk[coverage > 0.1], risk[-1], rtol=0.1)


def test_edges_of_the_curve() -> None:
    coverage, risk = risk_coverage_curve(np.full(3, np.nan), np.ones(3))
    assert coverage.size == risk.size == 0
    assert [values.tolist() for values in risk_coverage_curve(np.array([2.0]), np.array([1.0]))] == [[1], [2]]
    with pytest.raises(ValueError, match="`uncertainty` is NaN for 1 predictions"):
        risk_coverage_curve(np.ones(2), np.array([1, np.nan]))
