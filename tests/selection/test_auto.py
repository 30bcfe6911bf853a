from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from scgx.estimators import BaseTranslator, KernelRidge, SameGene, SklearnTranslator, TrainingAverage
from scgx.selection import STACK, AutoTranslator, make_candidates

SHARED = np.stack([np.arange(12), np.arange(12)], axis=1)


class Pairs(NamedTuple):
    X: np.ndarray
    Y: np.ndarray
    X_new: np.ndarray
    Y_new: np.ndarray


def split(X: np.ndarray, Y: np.ndarray, n_train: int) -> Pairs:
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    return Pairs(X[:n_train], Y[:n_train], X[n_train:], Y[n_train:])


def linear() -> Pairs:
    """Every target gene is a sum over source genes other than its own."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(140, 40))
    return split(X, 5 + X[:, 12:] @ rng.normal(size=(28, 12)) + 0.3 * rng.normal(size=(140, 12)), 90)


def same_gene() -> Pairs:
    """Every target gene is its own source gene, rescaled; few rows and many unrelated genes."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 400))
    return split(X, 3 + rng.uniform(1, 2, 12) * X[:, :12] + 0.3 * rng.normal(size=(80, 12)), 30)


def noise() -> Pairs:
    rng = np.random.default_rng(2)
    return split(rng.normal(size=(140, 40)), rng.normal(size=(140, 12)), 90)


def candidates() -> dict[str, BaseTranslator]:
    return make_candidates(["mean", "same_gene", "ridge"], pairs=SHARED, seed=0)


def skill(data: Pairs, predicted: np.ndarray) -> float:
    return float(1 - np.sum((data.Y_new - predicted) ** 2) / np.sum((data.Y_new - data.Y.mean(axis=0)) ** 2))


@pytest.mark.parametrize(
    ("draw", "best"), [pytest.param(linear, "ridge", id="linear"), pytest.param(same_gene, "same_gene", id="same-gene")]
)
def test_the_right_candidate_carries_the_prediction(draw: Callable[[], Pairs], best: str) -> None:
    data = draw()
    auto = AutoTranslator(candidates()).fit(data.X, data.Y)
    assert auto.chosen_ in (best, STACK)
    assert auto.weights_[best] > 0.8
    assert auto.weights_[best] > 4 * sum(weight for name, weight in auto.weights_.items() if name != best)
    alone = {name: skill(data, c.fit(data.X, data.Y).predict(data.X_new)) for name, c in candidates().items()}
    assert max(alone, key=alone.__getitem__) == best
    assert skill(data, auto.predict(data.X_new)) > max(0.8, alone[best] - 0.02)


def test_where_nothing_can_be_learned_nothing_beats_the_mean() -> None:
    data = noise()
    auto = AutoTranslator(candidates()).fit(data.X, data.Y)
    assert auto.chosen_ == "mean" or sum(auto.weights_.values()) < 0.3
    assert skill(data, auto.predict(data.X_new)) > -0.02
    table = {row["method"]: row["skill"] for row in auto.scores_}
    assert max(table.values()) < 0.02


def test_scores_hold_every_method_and_the_best_candidate_is_chosen() -> None:
    data = linear()
    baselines = {"mean": TrainingAverage(), "median": TrainingAverage("median")}
    auto = AutoTranslator(candidates(), baselines=baselines).fit(data.X, data.Y)
    roles = {row["method"]: row["role"] for row in auto.scores_}
    assert roles == {
        "median": "baseline", "mean": "baseline", "same_gene": "candidate", "ridge": "candidate", STACK: "candidate",
    }  # fmt: skip
    table = {row["method"]: row["skill"] for row in auto.scores_ if row["method"] != "median"}
    assert auto.chosen_ == max(table, key=table.__getitem__)
    for row in auto.scores_:
        assert row["seconds"] > 0
        assert -1 <= row["pearson_delta"] <= 1
    assert all(row["pearson_delta"] == 0 for row in auto.scores_ if row["method"] == "mean")


def test_a_baseline_is_never_chosen_however_good() -> None:
    data = linear()
    auto = AutoTranslator({"same_gene": SameGene(SHARED)}, baselines={"ridge": KernelRidge(kernel="linear")})
    auto.fit(data.X, data.Y)
    table = {row["method"]: row for row in auto.scores_}
    assert table["ridge"]["skill"] > 0.8 > table["same_gene"]["skill"]
    assert (auto.chosen_, auto.weights_) == ("same_gene", {"same_gene": 1.0})
    np.testing.assert_allclose(
        auto.predict(data.X_new), SameGene(SHARED).fit(data.X, data.Y).predict(data.X_new), atol=1e-5
    )


def test_scores_are_those_of_the_out_of_fold_prediction() -> None:
    data = linear()
    Y = data.Y.copy()
    Y[np.random.default_rng(0).random(Y.shape) < 0.1] = np.nan
    auto = AutoTranslator(candidates(), n_folds=4).fit(data.X, Y)
    (row,) = (row for row in auto.scores_ if row["method"] == auto.chosen_)
    assert sorted(set(auto.fold_)) == [0, 1, 2, 3]
    reference = np.stack([np.nanmean(Y[auto.fold_ != k].astype(float), axis=0) for k in range(4)])[auto.fold_]
    error = Y.astype(float) - auto.out_of_fold_
    assert row["mae"] == pytest.approx(np.nanmean(np.abs(error)), rel=1e-5)
    assert row["skill"] == pytest.approx(1 - np.nansum(error**2) / np.nansum((Y - reference) ** 2), rel=1e-5)
    within = []
    for j in range(Y.shape[1]):
        used = np.isfinite(Y[:, j])
        center = reference[used, j]  # folds have different means: without this a constant correlates negatively
        within.append(np.corrcoef(Y[used, j] - center, auto.out_of_fold_[used, j] - center)[0, 1])
    assert row["pearson_within_gene"] == pytest.approx(np.mean(within), abs=1e-5)
    (mean,) = (row for row in auto.scores_ if row["method"] == "mean")
    assert mean["pearson_within_gene"] == 0


def test_prediction_is_the_weighted_sum_of_members_fitted_on_all_rows() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 30))
    Y = X[:, :12] + 0.7 * X[:, 12:] @ rng.normal(size=(18, 12)) / 4 + 0.4 * rng.normal(size=(60, 12))
    data = split(X, Y, 40)
    members = {"same_gene": SameGene(SHARED), "ridge": KernelRidge(kernel="linear")}
    auto = AutoTranslator(members).fit(data.X, data.Y)
    assert auto.chosen_ == STACK
    assert set(auto.weights_) == set(members)
    mean = data.Y.mean(axis=0, dtype=float)
    expected = mean + sum(
        auto.weights_[name] * (clone(member).fit(data.X, data.Y).predict(data.X_new) - mean)
        for name, member in members.items()
    )
    np.testing.assert_allclose(auto.predict(data.X_new), expected, atol=1e-4)
    assert not hasattr(members["ridge"], "weights_")


def test_groups_and_tissue_reach_every_member() -> None:
    """Two tissues with different levels: only the mean per tissue knows, and no group is split."""
    rng = np.random.default_rng(0)
    tissue, groups = np.tile(["liver", "brain"], 30), np.repeat(np.arange(12), 5)
    Y = np.where(tissue == "liver", 4, -4)[:, None] + rng.normal(size=(60, 6))
    X = rng.normal(size=(60, 5)).astype(np.float32)
    auto = AutoTranslator({"mean": TrainingAverage(), "tissue_mean": TrainingAverage(by_tissue=True)})
    auto.fit(X, Y.astype(np.float32), groups=groups, tissue=tissue)
    assert auto.weights_.keys() == {"tissue_mean"}
    assert all(len(set(auto.fold_[groups == g])) == 1 for g in range(12))
    predicted = auto.predict(X[:2], tissue=np.array(["brain", "liver"]))
    np.testing.assert_allclose(predicted.mean(axis=1), [-4, 4], atol=0.5)


def test_the_global_random_state_neither_matters_nor_changes() -> None:
    data = linear()
    members = make_candidates(["kernel_ridge", "pls"], pairs=SHARED, seed=0)
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    first = AutoTranslator(members, n_folds=2).fit(data.X[:30], data.Y[:30]).predict(data.X_new)
    np.testing.assert_equal(np.random.get_state(legacy=False), before)  # noqa: NPY002
    np.random.random(3)  # noqa: NPY002
    second = AutoTranslator(members, n_folds=2).fit(data.X[:30], data.Y[:30]).predict(data.X_new)
    np.testing.assert_array_equal(first, second)


def test_fit_again_forgets_the_first_data() -> None:
    auto = AutoTranslator({"mean": TrainingAverage(), "line": SklearnTranslator(LinearRegression())})
    data, other = linear(), noise()
    again = auto.fit(data.X, data.Y).fit(other.X, other.Y).predict(other.X_new)
    fresh = clone(auto).fit(other.X, other.Y).predict(other.X_new)
    np.testing.assert_array_equal(again, fresh)


def test_one_group_only_is_refused() -> None:
    data = linear()
    with pytest.raises(ValueError, match="`groups` holds 1 group"):
        AutoTranslator(candidates()).fit(data.X, data.Y, groups=np.ones(90))
