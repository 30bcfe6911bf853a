from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import average_precision_score, roc_auc_score

from scgx._core.drug_pairs import DrugPairs, read_lines, read_pairs
from scgx.datasets import load
from scgx.selection import (
    SYNERGIES,
    AutoSynergy,
    synergy_folds,
    synergy_names,
    synergy_questions,
    synergy_scores,
    synergy_units,
)

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.fixture(scope="module")
def screen(simulate_screen: Callable[..., Any]) -> Any:
    return simulate_screen(n_drugs=20, n_lines=6, n_rows=600)


@pytest.fixture(scope="module")
def pairs(screen: Any) -> DrugPairs:
    return read_pairs(screen.pairs, read_lines(screen.expression), argument="pairs")


def new_drugs(train: DrugPairs, test: DrugPairs) -> np.ndarray:
    new = ~np.isin(test.smiles, train.smiles)
    return new[test.a].astype(int) + new[test.b]


@pytest.mark.parametrize(
    ("split", "n_new", "line", "pair"),
    [
        pytest.param("random", {0}, False, None, id="random"),
        pytest.param("pair", {0}, False, True, id="pair"),
        pytest.param("line", {0}, True, None, id="line"),
        pytest.param("drug", {1, 2}, False, True, id="drug"),
        pytest.param("one_drug", {1}, False, True, id="one-drug"),
        pytest.param("both_drugs", {2}, False, True, id="both-drugs"),
        pytest.param("pair + line", {0}, True, True, id="pair-line"),
        pytest.param("one_drug + line", {1}, True, True, id="drug-line"),
    ],
)
def test_what_a_split_says_is_new_is_new(
    split: str, n_new: set[int], line: bool, pair: bool | None, pairs: DrugPairs
) -> None:
    folds = synergy_folds(pairs, split, n_folds=4, seed=0)
    assert len(folds) == 4
    for train, test in folds:
        known, asked = pairs.take(train), pairs.take(test)
        assert set(new_drugs(known, asked)) == n_new
        assert np.isin(asked.cell_line, known.lines).any() != line
        if pair is not None:
            assert np.isin(asked.pair, known.pair).any() != pair
        question = set(synergy_questions(asked, known))
        assert question <= ({"one_drug", "both_drugs"} if split == "drug" else {split, f"pair + {split}", "pair"})
    if split in ("random", "pair", "line"):
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(pairs)))


def test_repeats_of_a_measurement_are_on_one_side_of_a_random_split(pairs: DrugPairs) -> None:
    twice = pairs.take(np.repeat(np.arange(100), 2))
    swap = np.arange(200) % 2 == 0
    twice = replace(twice, a=np.where(swap, twice.a, twice.b), b=np.where(swap, twice.b, twice.a))
    units = synergy_units(twice, "random")
    assert len(np.unique(units)) == 100
    for train, test in synergy_folds(twice, "random", n_folds=3, seed=1):
        assert not set(units[train]) & set(units[test])


def test_questions_are_named_by_what_is_new(pairs: DrugPairs) -> None:
    known = pairs.take(np.flatnonzero((pairs.a > 1) & (pairs.b > 1) & (pairs.cell_line != "line0")))
    assert set(synergy_questions(known, known)) == {"measured"}
    found = synergy_questions(pairs, known)
    n_new = (pairs.a < 2).astype(int) + (pairs.b < 2)
    assert set(found[n_new == 2]) <= {"both_drugs", "both_drugs + line"}
    assert set(found[(n_new == 1) & (pairs.cell_line == "line0")]) == {"one_drug + line"}
    assert set(found[(n_new == 0) & (pairs.cell_line == "line0")]) <= {"line", "pair + line"}
    itself = replace(pairs, b=pairs.a)
    one = synergy_questions(itself, known)[(pairs.a < 2) & (pairs.cell_line != "line0")]
    assert set(one) == {"one_drug"}  # a drug with itself is one drug


def test_scores_are_those_of_the_libraries_and_nan_for_one_class() -> None:
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 50), rng.random(50)
    scores = synergy_scores(y, p, binary=True)
    assert scores == {
        "auroc": pytest.approx(roc_auc_score(y, p)),
        "auprc": pytest.approx(average_precision_score(y, p)),
    }
    assert np.isnan(synergy_scores(np.ones(5), p[:5], binary=True)["auroc"])
    value = rng.normal(size=50)
    assert synergy_scores(value, np.exp(value), binary=False)["spearman"] == pytest.approx(1)
    assert synergy_scores(value, np.zeros(50), binary=False)["pearson"] == 0


def test_scores_of_a_method_are_those_of_held_out_pairs(pairs: DrugPairs, screen: Any) -> None:
    y = screen.pairs["label"].to_numpy(dtype=float)
    auto = AutoSynergy(["pair_kernel"], "one_drug", n_folds=3, seed=4).fit(pairs, y)
    areas = []
    for train, test in synergy_folds(pairs, "one_drug", n_folds=3, seed=4):
        model = SYNERGIES["pair_kernel"](0).fit(pairs.take(train), y[train])
        areas.append(roc_auc_score(y[test], model.predict(pairs.take(test))))
    assert auto.scores_["pair_kernel"]["auroc"] == pytest.approx(np.mean(areas))
    assert set(auto.scores_) == {"pair_kernel", "one_hot"}
    assert auto.split_ == "one_drug"


def test_equal_methods_go_to_the_simplest_and_the_stack_is_what_it_says(pairs: DrugPairs, screen: Any) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 2, len(pairs)).astype(float)
    auto = AutoSynergy(["pair_mean", "pair_kernel"], "both_drugs", n_folds=3)
    auto.fit(pairs, noise)
    assert auto.scores_["pair_mean"]["auroc"] == pytest.approx(0.5)
    y = screen.pairs["label"].to_numpy(dtype=float)
    auto = AutoSynergy(["line_mean", "logistic", "pair_kernel", "random_forest"], "pair", n_folds=4).fit(pairs, y)
    best = max(scores["auroc"] for name, scores in auto.scores_.items() if name != "stack")
    if auto.chosen_ == "stack":
        assert auto.scores_["stack"]["auroc"] > best
    parts = auto.weights_
    assert min(parts.values()) > 0
    if auto.chosen_ == "stack":
        odds = sum(w * logit(np.clip(auto.fitted_[n].predict(pairs), 1e-4, 1 - 1e-4)) for n, w in parts.items())
        np.testing.assert_allclose(logit(auto.predict(pairs)), odds + auto.shift_, rtol=1e-6)


def test_the_stack_of_scores_is_non_negative_least_squares(pairs: DrugPairs, screen: Any) -> None:
    from scipy.optimize import nnls

    from scgx.selection._auto_synergy import _weights

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, 200))
    truth = 0.7 * inputs[0] - 0.5 * inputs[1] + 2 + 0.1 * rng.normal(size=200)
    weight, shift = _weights(inputs, truth, binary=False)
    centred = inputs - inputs.mean(axis=1, keepdims=True)
    expected = nnls(centred.T, truth - truth.mean())[0]
    np.testing.assert_allclose(weight, expected, atol=1e-3)
    assert shift == pytest.approx(truth.mean() - expected @ inputs.mean(axis=1), abs=1e-2)


def test_what_cannot_be_held_out_falls_back_on_an_easier_split(pairs: DrugPairs, screen: Any) -> None:
    rows = np.flatnonzero(pairs.cell_line == "line1")
    auto = AutoSynergy(["logistic"], "line", n_folds=3)
    auto.fit(pairs.take(rows), screen.pairs["label"].to_numpy(dtype=float)[rows])
    assert auto.split_ == "random"


def test_features_are_chosen_for_new_drugs_where_synergy_depends_on_them(simulate_screen: Callable[..., Any]) -> None:
    screen = simulate_screen(n_drugs=40, n_lines=4, n_rows=1500, noise=0.3)
    pairs = read_pairs(screen.pairs, read_lines(screen.expression), argument="pairs")
    y = screen.pairs["label"].to_numpy(dtype=float)
    auto = AutoSynergy(["line_mean", "logistic", "pair_kernel", "random_forest"], "one_drug", n_folds=3).fit(pairs, y)
    assert auto.chosen_ in ("pair_kernel", "random_forest", "stack")
    assert auto.scores_[auto.chosen_]["auroc"] > auto.scores_["one_hot"]["auroc"] + 0.1


@pytest.mark.parametrize("method", ["forest", ["one_hot", "one_hot"], []], ids=["unknown", "doubled", "none"])
def test_unknown_methods_are_named(method: Any) -> None:
    with pytest.raises(ValueError, match="must be 'auto' or different names"):
        synergy_names(method)


@pytest.mark.parametrize("split", ["drugs", "random + line", "pair + drug"])
def test_unknown_splits_are_named(split: str, pairs: DrugPairs) -> None:
    with pytest.raises(ValueError, match="`split` must be one of"):
        synergy_folds(pairs, split, n_folds=3, seed=0)


@pytest.mark.realdata
def test_the_pair_kernel_knows_new_pairs_of_a_real_screen_better_than_drugs_that_add_up() -> None:
    data = load("synergy_deepdds")
    names = {"drug1": "drug_a", "drug2": "drug_b", "smiles1": "smiles_a", "smiles2": "smiles_b"}
    frame = data["pairs_12415"].rename(columns=names)
    lines = np.log1p(data["cell_line_expression_954"].to_df())
    pairs = read_pairs(frame, read_lines(lines), argument="pairs")
    y = frame["label"].to_numpy(dtype=float)
    train, test = synergy_folds(pairs, "pair", n_folds=5, seed=0)[0]
    area = {}
    for name in ("pair_mean", "logistic", "pair_kernel"):
        predicted = SYNERGIES[name](0).fit(pairs.take(train), y[train]).predict(pairs.take(test))
        area[name] = synergy_scores(y[test], predicted, binary=True)["auroc"]
    assert area["pair_mean"] == pytest.approx(0.5)
    assert area["pair_kernel"] > area["logistic"] + 0.04
