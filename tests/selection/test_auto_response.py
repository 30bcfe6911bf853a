from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

from scgx.estimators import BaseResponse, Conditions, TanimotoNeighbors
from scgx.selection import (
    RESPONSE_BASELINES,
    AutoResponse,
    MeasuredResponses,
    make_responses,
    measured_choice,
    perturbation_novelty,
    possible_responses,
    question_folds,
    question_of,
)

GENES = 40


def measured(conditions: Conditions, effect: np.ndarray, *, noise: float = 0.1, seed: int = 0) -> MeasuredResponses:
    """Profiles of one unit: effect + noise, over controls whose halves are noisy too."""
    rng = np.random.default_rng(seed)
    mean = conditions.control + effect + noise * rng.normal(size=effect.shape)
    unit = np.unique(conditions.context, return_inverse=True)[1]
    of_unit = np.stack([conditions.control[unit == k][0] for k in range(unit.max() + 1)])
    controls = of_unit + noise * rng.normal(size=(2, 2, *of_unit.shape))
    halves = mean + noise * rng.normal(size=(2, *mean.shape))
    return MeasuredResponses(conditions, mean, unit, controls, halves)


def drugs(n: int = 30, *, signal: bool = True, seed: int = 0) -> MeasuredResponses:
    """Drugs with features; the response is linear in them, or the same for all."""
    rng = np.random.default_rng(seed)
    features = (rng.random((n, 12)) < 0.4).astype(float)
    names = tuple((f"d{i:02d}",) for i in range(n))
    conditions = Conditions(names, np.full(n, "a"), np.full((n, GENES), 3.0), features=features)
    weights = rng.normal(size=(12, GENES)) * signal
    return measured(conditions, rng.normal(size=GENES) + features @ weights, noise=0.3)


def auto_of(data: MeasuredResponses, question: str, *names: str) -> AutoResponse:
    possible = possible_responses(data.conditions)
    candidates = make_responses(names or [n for n in possible if n != "random_forest"], data.conditions, seed=0)
    baselines = make_responses([n for n in possible if n in RESPONSE_BASELINES], data.conditions, seed=0)
    return AutoResponse(candidates, question=question, baselines=baselines).fit(data)


def score(auto: AutoResponse, method: str, column: str) -> float:
    scores = auto.choice_.scores
    return float(scores[column][scores["method"].tolist().index(method)])


def test_responses_linear_in_features_are_recovered_and_a_feature_method_is_chosen(unchanged_rng: None) -> None:
    data = drugs()
    auto = auto_of(data, "perturbation")
    assert auto.choice_.signal
    assert "ridge" in auto.choice_.weights
    assert auto.choice_.split == "perturbations held out"
    assert score(auto, auto.choice_.method, "skill") > 0.5
    # drugs never seen, of the same truth
    rng = np.random.default_rng(0)
    features = (rng.random((30, 12)) < 0.4).astype(float)
    weights, common = rng.normal(size=(12, GENES)), rng.normal(size=GENES)
    new = (np.random.default_rng(9).random((20, 12)) < 0.4).astype(float)
    asked = Conditions(
        tuple((f"new{i}",) for i in range(20)), np.full(20, "a"), np.full((20, GENES), 3.0), features=new
    )
    assert np.array_equal(features, data.conditions.features)
    truth = common + new @ weights
    error = np.square(auto.predict(asked) - truth).sum()
    assert error < 0.4 * np.square(data.delta.mean(axis=0) - truth).sum()


@pytest.mark.parametrize(("n", "expected"), [(60, "stack"), (18, "one")])
def test_the_stack_is_taken_of_equals_where_enough_was_held_out(n: int, expected: str) -> None:
    data = drugs(n)
    ridge = make_responses(["ridge"], data.conditions, seed=0)["ridge"]
    choice = AutoResponse({"one": ridge, "same": clone(ridge)}, question="perturbation").fit(data).choice_
    assert choice.method == expected
    if n == 60:  # one that is better alone is taken alone
        both = {"far": TanimotoNeighbors(1, shrinkage=0.01), "ridge": ridge}
        assert AutoResponse(both, question="perturbation").fit(data).choice_.method == "ridge"


@pytest.mark.parametrize("seed", range(3))
def test_without_a_signal_the_mean_predicts_and_says_so(seed: int) -> None:
    data = drugs(signal=False, seed=seed)
    auto = auto_of(data, "perturbation")
    assert auto.choice_.method == "mean_delta"
    assert not auto.choice_.signal
    assert auto.choice_.verdict.startswith("no signal above mean_delta (perturbations held out); mean_delta predicts")
    np.testing.assert_allclose(auto.predict(data.conditions), np.tile(data.delta.mean(axis=0), (30, 1)))


def test_few_controls_do_not_speak_for_no_change() -> None:
    """Halves of the controls are so noisy that no change has the least error there; with all of them the mean has."""
    rng = np.random.default_rng(0)
    names = tuple((f"d{i:02d}",) for i in range(40))
    conditions = Conditions(names, np.full(40, "a"), np.full((40, 400), 3.0))
    common = 0.32 * rng.normal(size=400)
    mean = 3 + common + 0.3 * rng.normal(size=(40, 400))
    halves = 0.35 * rng.normal(size=(4, 400))  # of as many cells, so all together have half of this variance
    controls = np.stack([[[3 + halves[0]], [3 + halves[1]]], [[3 + halves[2]], [3 + halves[3]]]])
    data = MeasuredResponses(conditions, mean, np.zeros(40, dtype=int), controls, np.full((2, 40, 400), np.nan))
    error = {"mean": 0.0, "none": 0.0}
    for truth, known in controls[:, :, 0]:
        error["none"] += float(np.square(mean - truth).sum())
        error["mean"] += float(np.square((mean - truth) - (mean - known).mean(axis=0)).sum())
    assert error["none"] < error["mean"]
    assert auto_of(data, "perturbation").choice_.method == "mean_delta"
    no_effect = replace(data, mean=mean - common)
    assert auto_of(no_effect, "perturbation").choice_.method == "no_change"


@pytest.mark.parametrize("seed", [1, 3])
def test_a_probable_gain_predicts_new_drugs_better_and_is_not_called_a_signal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = (rng.random((20, 12)) < 0.4).astype(float)
    conditions = Conditions(
        tuple((f"d{i:02d}",) for i in range(20)), np.full(20, "a"), np.full((20, GENES), 3.0), features=features
    )
    common, weights = rng.normal(size=GENES), 0.15 * rng.normal(size=(12, GENES))
    data = measured(conditions, common + features @ weights, noise=0.5, seed=seed)
    auto = auto_of(data, "perturbation")
    assert not auto.choice_.signal
    assert auto.choice_.method not in RESPONSE_BASELINES
    assert auto.choice_.verdict.startswith("no signal above mean_delta (perturbations held out): gain in skill 0.0")
    new = (rng.random((200, 12)) < 0.4).astype(float)
    asked = Conditions(
        tuple((f"n{i:03d}",) for i in range(200)), np.full(200, "a"), np.full((200, GENES), 3.0), features=new
    )
    truth = common + new @ weights
    error = np.square(auto.predict(asked) - truth).sum()
    assert error < 0.98 * np.square(data.delta.mean(axis=0) - truth).sum()


def test_what_is_held_out_follows_the_question() -> None:
    names = (("x",), ("y",), ("x", "y"), ("x",), ("z",), ("u", "z"))
    context = np.array(["a", "a", "a", "b", "b", "b"])
    known = Conditions(names, context, np.zeros((6, 3)), log_dose=np.array([0, 0, 0, 1, 1, 1.0]))
    asked = {
        (("x",), "a", 0.0): "measured",
        (("x",), "a", 1.0): "dose",
        (("y",), "b", 0.0): "pair",
        (("x",), "c", 0.0): "context",
        (("x", "z"), "a", 0.0): "combination_2",
        (("u", "x"), "a", 0.0): "combination_1",
        (("q", "u"), "a", 0.0): "combination_0",
        (("q",), "a", 0.0): "perturbation",
        (("p", "q"), "a", 0.0): "perturbation",
    }
    assert {one: question_of(*one, known) for one in asked} == asked


def test_folds_hold_out_what_the_question_says() -> None:
    singles = tuple((f"s{k}",) for k in range(9))
    alike = tuple((*one, *other) for one, other in pairwise(singles))  # eight, both parts seen alone
    doubles = (*singles, *alike, ("s1", "w"))
    data = Conditions(doubles, np.full(18, "a"), np.zeros((18, 3)))
    folds, title, _ = question_folds(data, "combination_2", n_folds=5, seed=0)
    assert [doubles[test[0]] for _, test in folds] == list(alike)
    assert title == "combinations held out, 2 of their parts seen alone"
    for rows, question in ((data, "combination_1"), (data.take(np.arange(1, 18)), "combination_2")):
        folds, title, _ = question_folds(rows, question, n_folds=5, seed=0)  # fewer than eight of the kind: all
        assert [rows.perturbations[test[0]] for _, test in folds] == [*alike, ("s1", "w")]
        assert all(len(train) == len(rows) - 1 for train, _ in folds)
        assert title == "combinations held out, however many parts seen alone"
    few = data.take(np.array([0, 1, 9]))  # nothing else to choose by
    assert question_folds(few, "combination_2", n_folds=5, seed=0)[1].endswith("2 of their parts seen alone")
    lines = Conditions((("x",), ("x",), ("y",), ("x",)), np.array(list("abbc")), np.zeros((4, 3)))
    folds, _, groups = question_folds(lines, "context", n_folds=5, seed=0)
    tested = [test.tolist() for _, test in folds]
    assert tested == [[0], [1], [3]]  # y was measured in b only: another question
    assert all(not set(groups[train]) & set(groups[test]) for train, test in folds)


def test_scores_are_those_of_a_plain_loop_and_controls_are_independent() -> None:
    """Nothing was done to any condition: what remains in shared controls would look like a common response."""
    rng = np.random.default_rng(0)
    names = tuple((f"d{i}",) for i in range(12))
    conditions = Conditions(names, np.full(12, "a"), np.full((12, GENES), 3.0))
    data = measured(conditions, np.zeros((12, GENES)), noise=1.0)
    noisy = replace(conditions, control=conditions.control + rng.normal(size=GENES))
    auto = auto_of(replace(data, conditions=noisy), "perturbation")
    shared = auto_of(replace(data, conditions=noisy, controls=data.controls[:0]), "perturbation")
    assert shared.choice_.split.endswith("shared controls (optimistic)")
    assert score(shared, "mean_delta", "pearson_delta") > 0.4
    assert score(auto, "mean_delta", "pearson_delta") < 0.25
    folds, _, _ = question_folds(conditions, "perturbation", n_folds=5, seed=0)
    r, error = [], []
    for for_truth, for_prediction in data.controls:
        for train, test in folds:
            predicted = (data.mean - for_prediction[0])[train].mean(axis=0)
            truth = (data.mean - for_truth[0])[test]
            r += [np.corrcoef(one, predicted)[0, 1] for one in truth]
            error += np.abs(truth - predicted).mean(axis=1).tolist()
    assert score(auto, "mean_delta", "pearson_delta") == pytest.approx(np.mean(r))
    assert score(auto, "mean_delta", "mae") == pytest.approx(np.mean(error), rel=1e-6)
    assert score(auto, "mean_delta", "skill") == pytest.approx(0, abs=1e-6)


def test_residuals_are_held_out_and_belong_to_what_was_chosen() -> None:
    data = drugs()
    choice = auto_of(data, "perturbation", "tanimoto_knn").choice_
    folds, _, _ = question_folds(data.conditions, "perturbation", n_folds=5, seed=0)
    for_truth, for_prediction = data.controls[0]
    conditions = replace(data.conditions, control=np.tile(for_prediction, (30, 1)))
    train, test = folds[2]
    known = TanimotoNeighbors().fit(conditions.take(train), (data.mean - for_prediction)[train])
    expected = (data.mean - for_truth)[test] - known.predict(conditions.take(test))
    np.testing.assert_allclose(choice.residuals[choice.fold == 2], expected, atol=1e-5)


def test_one_method_predicts_in_any_case_and_says_that_it_should_not() -> None:
    auto = auto_of(drugs(signal=False), "perturbation", "tanimoto_knn")
    assert auto.choice_.method == "tanimoto_knn"
    assert not auto.choice_.signal
    assert auto.choice_.verdict.startswith("no signal above mean_delta")
    assert {"no_change", "mean_delta"} < set(auto.choice_.scores["method"])


@pytest.mark.parametrize(
    ("question", "method"), [("combination_2", "additive"), ("context", "context_mean"), ("perturbation", "mean_delta")]
)
def test_where_nothing_can_be_held_out_the_plain_answer_predicts_untested(question: str, method: str) -> None:
    n = 1 if question == "perturbation" else 3
    names = tuple((f"d{i}",) for i in range(n))
    conditions = Conditions(names, np.full(n, "a"), np.zeros((n, GENES)))
    effect = np.random.default_rng(0).normal(size=(n, GENES))
    auto = auto_of(measured(conditions, effect), question)
    assert (auto.choice_.method, auto.choice_.signal, auto.choice_.scores) == (method, False, {})
    assert auto.choice_.verdict.startswith("not tested")
    if question == "combination_2":
        asked = Conditions((("d0", "d2"),), np.array(["a"]), np.zeros((1, GENES)))
        delta = measured(conditions, effect).delta
        np.testing.assert_allclose(auto.predict(asked)[0], delta[0] + delta[2])


def test_features_of_a_single_drug_are_of_no_use_and_do_no_harm() -> None:
    lines = Conditions(
        (("x",),) * 4,
        np.array(list("abcd")),
        np.random.default_rng(0).normal(size=(4, GENES)),
        features=np.ones((4, 3)),
    )
    auto = auto_of(measured(lines, np.ones((4, GENES))), "context")
    assert "kernel_ridge" not in auto.choice_.scores["method"]


def test_measured_conditions_are_as_sure_as_their_halves() -> None:
    data = drugs()
    choice = measured_choice(data)
    np.testing.assert_allclose(choice.residuals, data.halves[0] - data.halves[1], atol=1e-5)
    wells = replace(data, halves=np.full_like(data.halves, np.nan))
    assert measured_choice(wells).residuals.shape == (0, GENES)


def test_novelty_is_0_for_the_measured_and_grows_with_the_distance() -> None:
    known = drugs().conditions
    near, far = known.features[:1].copy(), np.full((1, 12), 3.0)
    near[0, 0] = 1 - near[0, 0]
    asked = Conditions(
        (("d03",), ("new",), ("far",)),
        np.full(3, "z"),
        np.zeros((3, GENES)),
        features=np.vstack([known.features[7], near, far]),
    )
    novelty, unit = perturbation_novelty(asked, known)
    expected = [
        min(1 - np.minimum(new, one).sum() / np.maximum(new, one).sum() for one in known.features)
        for new in (near[0], far[0])
    ]
    np.testing.assert_allclose(novelty, [0, *expected])
    assert "Tanimoto" in unit
    signed = replace(known, features=known.features - 0.5), replace(asked, features=asked.features - 0.5)
    distance, unit = perturbation_novelty(signed[1], signed[0])
    assert distance[0] == 0
    assert distance[2] > distance[1] > 0
    assert unit.startswith("distance")
    named, _ = perturbation_novelty(
        replace(asked, perturbations=(("d03",), ("d01", "q"), ("q",)), features=None), known
    )
    assert named.tolist() == [0, 0.5, 1]


class Foreign(BaseResponse):
    """Knows the truth."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Foreign:
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        rng = np.random.default_rng(0)
        rng.random((30, 12))
        weights, common = rng.normal(size=(12, GENES)), rng.normal(size=GENES)
        return self.scale * (common + conditions.features @ weights)


def test_responses_of_ones_own_are_chosen_among() -> None:
    data = drugs()
    auto = AutoResponse({"right": Foreign(), "wrong": Foreign(-1.0)}, question="perturbation").fit(data)
    assert auto.choice_.method == "right"
    assert score(auto, "right", "skill") > 0.9
    assert score(auto, "wrong", "skill") < 0
