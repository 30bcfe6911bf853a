from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from scgx.estimators import BaseLabelClassifier, BlockLabels, CentroidLabels, RowBlocks, SklearnLabels
from scgx.selection import LABEL_CLASSIFIERS, AutoLabels, label_folds, make_label_classifiers


def rows(n: int = 120, seed: int = 0, *, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(["a", "b", "c"], n)
    centre = np.random.default_rng(9).normal(size=(3, 20))
    return (centre[np.unique(y, return_inverse=True)[1]] + noise * rng.normal(size=(n, 20))).astype(np.float32), y


def test_folds_keep_batches_whole() -> None:
    _, y = rows()
    batch = np.repeat(np.arange(12), 10).astype(str)
    folds, split = label_folds(y, batch, n_folds=4, seed=0)
    assert split == "grouped by batch"
    assert all(not set(batch[train]) & set(batch[test]) for train, test in folds)


def test_random_folds_test_each_row_once_and_spread_every_label() -> None:
    y = np.array(["a"] * 50 + ["b"] * 5 + ["c"])
    folds, split = label_folds(y, None, n_folds=5, seed=0)
    assert split == "random (optimistic)"
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(56))
    assert [(y[test] == "b").sum() for _, test in folds] == [1] * 5


def test_one_row_a_label_holds_nothing_out() -> None:
    X = np.eye(4, 20, dtype=np.float32)
    auto = AutoLabels(make_label_classifiers("auto")).fit(X, np.array(list("abcd")))
    assert auto.split_ == "none: one row a label"
    assert auto.chosen_ == "centroid"
    assert np.isnan(auto.scores_["knn"]["macro_f1"])
    with pytest.raises(ValueError, match="needs held-out reference rows"):
        auto.threshold(0.05)


def test_the_best_is_chosen_and_the_first_of_equals() -> None:
    X, y = rows(noise=0.1)
    bad = SklearnLabels(DummyClassifier(strategy="uniform", random_state=0))
    good = {"first": CentroidLabels(), "second": CentroidLabels()}
    auto = AutoLabels({"bad": bad, **good}).fit(X, y)
    assert auto.chosen_ == "first"
    assert auto.scores_["bad"]["macro_f1"] < 0.6
    assert auto.scores_["majority"]["role"] == "baseline"
    assert auto.scores_["majority"]["balanced_accuracy"] == pytest.approx(1 / 3)


def test_scores_are_those_of_rows_held_out() -> None:
    X, y = rows(noise=2)
    model = LogisticRegression(max_iter=500)
    auto = AutoLabels({"own": SklearnLabels(model)}, seed=3).fit(X, y)
    predicted = np.empty_like(y)
    for train, test in label_folds(y, None, n_folds=5, seed=3)[0]:
        predicted[test] = model.fit(X[train], y[train]).predict(X[test])
    assert auto.scores_["own"]["macro_f1"] == pytest.approx(f1_score(y, predicted, average="macro"))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_threshold_leaves_that_share_of_new_correct_rows_unknown(share: float) -> None:
    auto = AutoLabels(make_label_classifiers("logistic_regression")).fit(*rows(1500, noise=1.5))
    X, y = rows(4000, seed=5, noise=1.5)
    probability = auto.predict_proba(X)
    right = auto.classes_[probability.argmax(axis=1)] == y
    lost = (probability.max(axis=1)[right] < auto.threshold(share)).mean()
    assert lost == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_unknown_is_a_share(share: float) -> None:
    auto = AutoLabels(make_label_classifiers("centroid")).fit(*rows())
    with pytest.raises(ValueError, match=r"share in \[0, 1\)"):
        auto.threshold(share)


def test_candidates_come_simplest_first_whatever_the_order_asked() -> None:
    assert list(make_label_classifiers(["logistic_regression", "centroid"])) == ["centroid", "logistic_regression"]
    assert list(make_label_classifiers("auto")) == list(LABEL_CLASSIFIERS)


@pytest.mark.parametrize("method", ["svm", ["knn", "knn"], []])
def test_unknown_and_doubled_names_are_refused(method: object) -> None:
    with pytest.raises(ValueError, match="different names of"):
        make_label_classifiers(method)


class _Scripted(BaseLabelClassifier):
    """Right on the given rows (row numbers are the only gene), wrong elsewhere."""

    def __init__(self, wrong: tuple[int, ...]) -> None:
        self.wrong = wrong

    def fit(self, X: np.ndarray, y: np.ndarray, *, batch: np.ndarray | None = None) -> _Scripted:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray, *, batch: np.ndarray | None = None) -> np.ndarray:
        row = X[:, 0].astype(int)
        kind = (row + np.isin(row, self.wrong)) % 2
        return np.eye(2)[kind]


@pytest.mark.parametrize(
    ("wrong", "chosen"),
    [
        pytest.param((0, 1, 10, 11, 20, 21, 30, 31), "simple", id="better in every batch"),
        pytest.param((0, 1, 2, 3), "logistic_regression", id="better in one batch only"),
        pytest.param((), "logistic_regression", id="equal"),
    ],
)
def test_logistic_regression_stays_unless_another_is_better_beyond_one_standard_error(
    wrong: tuple[int, ...], chosen: str
) -> None:
    X = np.arange(40, dtype=float)[:, None]
    y, batch = np.where(np.arange(40) % 2, "b", "a"), np.repeat(list("wxyz"), 10)
    # one wrong row elsewhere, so that a gain in one batch stands against a small loss in another
    simple = _Scripted((35,)) if wrong and chosen != "simple" else _Scripted(())
    auto = AutoLabels({"simple": simple, "logistic_regression": _Scripted(wrong)}).fit(X, y, batch=batch)
    assert auto.chosen_ == chosen
    assert auto.scores_["simple"]["macro_f1"] >= auto.scores_["logistic_regression"]["macro_f1"]


def test_blocks_of_a_row_stay_together_and_each_candidate_reads_its_own() -> None:
    X, y = rows(noise=0.1)
    noise = np.random.default_rng(1).normal(size=X.shape)
    blocks = RowBlocks({"signal": X, "noise": noise})
    auto = AutoLabels({name: BlockLabels(CentroidLabels(), name) for name in ("noise", "signal")}).fit(blocks, y)
    assert auto.chosen_ == "signal"
    alone = AutoLabels({"signal": CentroidLabels()}).fit(X, y)
    assert auto.scores_["signal"] == alone.scores_["signal"]
    np.testing.assert_allclose(auto.predict_proba(blocks), alone.predict_proba(X))
