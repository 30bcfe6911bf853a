from __future__ import annotations

from typing import Self

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

from scgx.estimators import BaseTranslator, SklearnTranslator, TrainingAverage
from scgx.selection import cross_validate


class Spy(BaseTranslator):
    """Predicts 1 for a row whose relatives it was trained on, else 0, and checks that labels come with their rows.

    Columns of the source: family, label handed over as group, label handed over as tissue.
    """

    def fit(
        self, X: np.ndarray, Y: np.ndarray, *, groups: np.ndarray | None = None, tissue: np.ndarray | None = None
    ) -> Self:
        np.testing.assert_array_equal(groups, X[:, 1])
        np.testing.assert_array_equal(tissue, X[:, 2])
        self.families_, self.n_genes_ = X[:, 0], Y.shape[1]
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        np.testing.assert_array_equal(tissue, X[:, 2])
        return np.repeat(np.isin(X[:, :1], self.families_), self.n_genes_, axis=1).astype(np.float32)


def leaks(families: np.ndarray, groups: np.ndarray, *, n_folds: int, seed: int) -> np.ndarray:
    """For each row whether its family was on the training side, and its fold; two rows."""
    tissue = np.random.default_rng(1).integers(0, 3, len(families))
    X = np.stack([families, groups, tissue], axis=1).astype(np.float32)
    Y = np.zeros((len(X), 1), dtype=np.float32)
    out = cross_validate({"spy": Spy()}, X, Y, groups=groups, tissue=tissue, n_folds=n_folds, seed=seed)
    return np.stack([out.predictions["spy"][:, 0], out.fold])


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source (60 × 8), target (60 × 5), group of each row (11 of unequal size)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8)).astype(np.float32)
    Y = (X @ rng.normal(size=(8, 5)) + rng.normal(size=(60, 5))).astype(np.float32)
    return X, Y, rng.permutation(np.r_[np.arange(11), rng.integers(0, 11, 49)])


@pytest.mark.parametrize("n_folds", [2, 5, 11])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_group_is_never_on_both_sides(pairs: tuple[np.ndarray, ...], n_folds: int, seed: int) -> None:
    groups = pairs[2]
    leaked, fold = leaks(groups, groups, n_folds=n_folds, seed=seed)
    assert not leaked.any()
    assert sorted(set(fold)) == list(range(n_folds))
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))


def test_splitting_single_rows_leaks_and_the_spy_sees_it(pairs: tuple[np.ndarray, ...]) -> None:
    leaked, _ = leaks(pairs[2], np.arange(60), n_folds=5, seed=0)
    assert leaked.mean() > 0.9


def test_predictions_equal_scikit_learn_on_the_same_folds(pairs: tuple[np.ndarray, ...]) -> None:
    X, Y, groups = pairs
    out = cross_validate({"r": SklearnTranslator(Ridge(3.0))}, X, Y, groups=groups, n_folds=4, seed=7)
    folds = GroupKFold(4, shuffle=True, random_state=7)
    expected = cross_val_predict(Ridge(3.0), X, Y, groups=groups, cv=folds)
    np.testing.assert_allclose(out.predictions["r"], expected, atol=1e-5)
    for k, (_, test) in enumerate(folds.split(X, groups=groups)):
        assert (out.fold[test] == k).all()


def test_reference_is_the_mean_of_the_measured_training_values(pairs: tuple[np.ndarray, ...]) -> None:
    X, Y, groups = pairs
    Y[np.random.default_rng(0).random(Y.shape) < 0.2] = np.nan
    out = cross_validate({"mean": TrainingAverage()}, X, Y, groups=groups, n_folds=3)
    assert out.reference.shape == (3, 5)
    for k in range(3):
        expected = np.nanmean(Y[out.fold != k].astype(np.float64), axis=0)
        np.testing.assert_allclose(out.reference[k], expected, rtol=1e-6)
    np.testing.assert_allclose(out.predictions["mean"], out.reference[out.fold], rtol=1e-6)


def test_without_groups_every_row_is_held_out_once_in_folds_of_equal_size(pairs: tuple[np.ndarray, ...]) -> None:
    X, Y, _ = pairs
    fold = cross_validate({}, X, Y, n_folds=5, seed=0).fold
    sizes = [len(test) for _, test in KFold(5).split(X)]
    assert np.bincount(fold).tolist() == sizes
    assert (fold != cross_validate({}, X, Y, n_folds=5, seed=1).fold).any()


def test_fewer_groups_than_folds_give_one_fold_a_group(pairs: tuple[np.ndarray, ...]) -> None:
    X, Y, _ = pairs
    groups = np.repeat(["a", "b", "c"], 20)
    fold = cross_validate({}, X, Y, groups=groups, n_folds=5).fold
    assert sorted(fold[::20]) == [0, 1, 2]


def test_one_group_only_cannot_be_validated(pairs: tuple[np.ndarray, ...]) -> None:
    X, Y, _ = pairs
    with pytest.raises(ValueError, match="`groups` holds 1 group over 60 rows.*at least 2"):
        cross_validate({"mean": TrainingAverage()}, X, Y, groups=np.zeros(60))


def test_candidates_are_left_unfitted(pairs: tuple[np.ndarray, ...]) -> None:
    X, Y, _ = pairs
    candidate = TrainingAverage()
    out = cross_validate({"mean": candidate}, X, Y)
    assert not hasattr(candidate, "overall_")
    assert out.seconds["mean"] > 0
