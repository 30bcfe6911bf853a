from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeRegressor

from scgx.selection import (
    LeaveCombinationOut,
    LeavePerturbationsOut,
    ScaffoldKFold,
    n_singles_seen,
    require_no_leak,
)

NAMES = [("a",), ("a",), ("b",), ("c",), ("a", "b"), ("a", "x"), ("x", "y"), ("a", "b")]
ROWS = np.zeros((len(NAMES), 1))


@pytest.mark.parametrize("n_folds", [2, 3, 99])
def test_a_held_out_name_is_nowhere_in_training(n_folds: int) -> None:
    tested = []
    for train, test in LeavePerturbationsOut(n_folds).split(ROWS, groups=NAMES):
        known, asked = ({name for row in side for name in NAMES[row]} for side in (train, test))
        assert known.isdisjoint(asked)
        tested.extend(test)
    assert len(tested) == len(set(tested))
    assert {0, 1, 2, 3} <= set(tested)  # singles are all tested once, their replicates together
    if n_folds == 99:
        assert set(tested) == {0, 1, 2, 3}
        assert LeavePerturbationsOut(n_folds).get_n_splits(ROWS, groups=NAMES) == 3


def test_folds_follow_the_seed() -> None:
    names = [(f"drug{i}",) for i in range(20)]
    first, again, other = (
        [tuple(test) for _, test in LeavePerturbationsOut(5, seed).split(np.zeros((20, 1)), groups=names)]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert sorted(row for test in first for row in test) == list(range(20))


def test_combinations_are_left_out_whole_and_told_by_their_parts() -> None:
    assert n_singles_seen(NAMES).tolist() == [1, 1, 1, 1, 2, 1, 0, 2]
    folds = [(set(train), set(test)) for train, test in LeaveCombinationOut().split(ROWS, groups=NAMES)]
    assert [test for _, test in folds] == [{4, 7}, {5}, {6}]
    assert all(train == set(range(8)) - test for train, test in folds)
    for n_seen, expected in ((0, [{6}]), (1, [{5}]), (2, [{4, 7}])):
        found = [set(test) for _, test in LeaveCombinationOut(n_seen).split(ROWS, groups=NAMES)]
        assert found == expected
        assert LeaveCombinationOut(n_seen).get_n_splits(ROWS, groups=NAMES) == 1


def test_molecules_of_one_scaffold_stay_together() -> None:
    pytest.importorskip("rdkit")
    benzenes, indoles = ["Cc1ccccc1", "OC(=O)c1ccccc1", "Clc1ccccc1.Cl"], ["c1ccc2[nH]ccc2c1", "Cc1c[nH]c2ccccc12"]
    chains = ["CCO", "CCCCN"]
    smiles = [*benzenes, *indoles, *chains]
    folds = list(ScaffoldKFold(4).split(np.zeros((7, 1)), groups=smiles))
    assert sorted(sorted(test.tolist()) for _, test in folds) == [[0, 1, 2], [3, 4], [5], [6]]
    with pytest.raises(ValueError, match="'c1ccc' at position 1 is not a valid SMILES"):
        list(ScaffoldKFold(2).split(np.zeros((2, 1)), groups=["CCO", "c1ccc"]))


def test_scikit_learn_takes_the_splitters() -> None:
    rng = np.random.default_rng(0)
    names = [(f"drug{i}",) for i in range(10)]
    groups = np.empty(10, dtype=object)
    groups[:] = names
    scores = cross_val_score(
        DecisionTreeRegressor(random_state=0), rng.normal(size=(10, 2)), rng.normal(size=10),
        groups=groups, cv=LeavePerturbationsOut(5), scoring="neg_mean_absolute_error",
    )  # fmt: skip
    assert scores.shape == (5,)
    assert np.isfinite(scores).all()


def test_missing_groups_and_single_perturbations_are_refused() -> None:
    for splitter in (LeavePerturbationsOut(), LeaveCombinationOut(), ScaffoldKFold(2)):
        with pytest.raises(ValueError, match="`groups` is None; give the"):
            list(splitter.split(ROWS))
    with pytest.raises(ValueError, match="holds 1 perturbation; leaving perturbations out needs at least 2"):
        list(LeavePerturbationsOut().split(ROWS[:2], groups=NAMES[:2]))


def test_a_group_on_both_sides_is_named() -> None:
    require_no_leak(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="the split leaks: 2 groups .* 'b', 'c'; keep the rows of a group together"):
        require_no_leak(["c", "a", "b"], ["b", "c", "d", "b"])
    with pytest.raises(ValueError, match="1 groups .* '7'"):
        require_no_leak(np.array([7, 8]), ["7"])
