from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import scgx
from scgx.metrics import average, pearson, pearson_delta, require_disjoint_controls, split_controls, split_half_ceiling


def test_halves_are_disjoint_complete_and_even(unchanged_rng: None) -> None:
    names = np.array([f"cell{i}" for i in range(11)])
    first, second = split_controls(names, seed=3)
    assert sorted([*first, *second]) == sorted(names)
    assert {len(first), len(second)} == {5, 6}
    require_disjoint_controls(first, second)
    np.testing.assert_array_equal(split_controls(names, seed=3)[0], first)
    assert not np.array_equal(split_controls(names, seed=4)[0], first)
    assert first.tolist() == [name for name in names if name in set(first)]


def test_shared_controls_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 control cells .*'b', 'c'; .*split_controls"):
        require_disjoint_controls(["a", "b", "c"], ["c", "b", "d"])


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(["a"], id="one"),
        pytest.param(["a", "b", "a"], id="twice"),
        pytest.param([[1, 2], [3, 4]], id="matrix"),
    ],
)
def test_cells_that_cannot_be_divided_are_refused(cells: list) -> None:
    with pytest.raises(ValueError, match="at least two different names"):
        split_controls(cells)


def test_the_noise_of_shared_controls_counts_as_agreement() -> None:
    """The known failure: nothing was changed and nothing is known, yet both changes point away from the controls."""
    rng = np.random.default_rng(0)
    control, true, guess = (rng.normal(0, 1, (n, 2000)) for n in (60, 40, 40))
    measured, predicted = true.mean(axis=0)[None], guess.mean(axis=0)[None]
    shared = pearson_delta(measured, predicted, control.mean(axis=0))[0]
    assert shared > 0.3
    first, second = split_controls(np.arange(60))
    own, other = control[first].mean(axis=0), control[second].mean(axis=0)
    assert abs(pearson_delta(measured, predicted, own, other)[0]) < 0.1
    # a copy of other control cells, from which the controls of the truth are taken, is no better
    copy = other[None]
    assert pearson_delta(measured, copy, own)[0] > 0.3
    assert pearson_delta(measured, copy, own, other)[0] == 0


class Norman:
    """Doubles of the Norman subset whose singles were both measured."""

    def __init__(self) -> None:
        adata = scgx.datasets.load("norman2019_subset")
        self.X = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=np.float64)
        self.perturbation = adata.obs["perturbation"].to_numpy(dtype=str)
        self.control = np.flatnonzero(self.perturbation == "control")
        measured = set(self.perturbation)
        self.doubles = sorted(name for name in measured if "+" in name and set(name.split("+")) <= measured)

    def mean(self, name: str) -> np.ndarray:
        return self.X[self.perturbation == name].mean(axis=0)

    def true(self) -> np.ndarray:
        return np.stack([self.mean(name) for name in self.doubles])

    def additive(self, control: np.ndarray) -> np.ndarray:
        """Profile of each double: the control and the changes of both singles against it."""
        singles = [[self.mean(gene) for gene in name.split("+")] for name in self.doubles]
        return np.stack([a + b - control for a, b in singles])


@pytest.fixture(scope="module")
def norman() -> Iterator[Norman]:
    yield Norman()


@pytest.mark.realdata
def test_shared_controls_lift_additive_above_replicates_on_real_cells(norman: Norman) -> None:
    whole = norman.X[norman.control].mean(axis=0)
    shared = average(pearson_delta(norman.true(), norman.additive(whole), whole))
    independent = []
    for seed in range(40):  # single divisions differ by 0.09 (standard deviation): the control has 100 cells
        halves = split_controls(norman.control, seed=seed)
        own, other = (norman.X[half].mean(axis=0) for half in halves)
        independent.append(average(pearson_delta(norman.true(), norman.additive(other), own, other)))
    rows = np.isin(norman.perturbation, norman.doubles)
    ceiling = split_half_ceiling(
        norman.X[rows],
        norman.perturbation[rows],
        pearson,  # of changes: the halves come less their controls
        control=norman.X[norman.control],
    )
    assert len(norman.doubles) == 5
    assert shared == pytest.approx(0.870, abs=0.005)  # measured before this code was written
    assert np.mean(independent) == pytest.approx(0.644, abs=0.03)
    assert np.mean(independent) < average(np.asarray(ceiling)) < shared


@pytest.mark.realdata
def test_copying_the_control_looks_well_on_raw_values_of_real_cells(norman: Norman) -> None:
    own, other = (norman.X[half].mean(axis=0) for half in split_controls(norman.control))
    copy = np.tile(other, (len(norman.doubles), 1))
    assert average(pearson(norman.true(), copy)) > 0.95
    assert pearson_delta(norman.true(), copy, own, other).tolist() == [0] * 5
    # against the controls of the truth alone their noise would still be rewarded
    assert average(pearson_delta(norman.true(), copy, own)) > 0.1


@pytest.mark.realdata
def test_the_mean_of_other_perturbations_adds_nothing_to_itself(norman: Norman) -> None:
    """Against the mean of the training perturbations only what is special to a perturbation counts."""
    rest = sorted(set(norman.perturbation) - set(norman.doubles) - {"control"})
    center = np.stack([norman.mean(name) for name in rest]).mean(axis=0)
    predicted = np.tile(center, (len(norman.doubles), 1))
    own, _ = (norman.X[half].mean(axis=0) for half in split_controls(norman.control))
    assert average(pearson_delta(norman.true(), predicted, own)) > 0.1
    assert not pearson_delta(norman.true(), predicted, center).any()
