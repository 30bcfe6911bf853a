from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from scgx.estimators import (
    MLP,
    PLS,
    BaseTranslator,
    KernelRidge,
    MatrixCompletion,
    QuantileNormalization,
    ResidualOf,
    SameGene,
    TargetForest,
    TrainingAverage,
    column_mean,
)
from scgx.estimators._base import group_folds

PAIRS = np.array([[0, 1], [3, 0], [4, 0]])
TRANSLATORS = [
    pytest.param(TrainingAverage("mean"), id="mean"),
    pytest.param(SameGene(PAIRS), id="same_gene"),
    pytest.param(QuantileNormalization(PAIRS), id="quantile"),
    pytest.param(KernelRidge(kernel="linear"), id="ridge"),
    pytest.param(KernelRidge(), id="kernel_ridge"),
    pytest.param(ResidualOf(SameGene(PAIRS), KernelRidge()), id="residual"),
    pytest.param(PLS(), id="pls"),
    pytest.param(TargetForest(n_trees=20), id="forest"),
    pytest.param(MLP(hidden=(16,), max_epochs=5), id="mlp"),
    pytest.param(MatrixCompletion(rank=(3,), penalty=(0.01, 0.1)), id="matrix_completion"),
]


@pytest.mark.parametrize("translator", TRANSLATORS)
@pytest.mark.usefixtures("unchanged_rng")
class TestEveryTranslator:
    def test_a_second_fit_gives_the_same_float32_prediction(self, translator: BaseTranslator, linear) -> None:
        first = clone(translator).fit(linear.X, linear.Y, groups=linear.groups).predict(linear.X[:9])
        second = clone(translator).fit(linear.X, linear.Y, groups=linear.groups).predict(linear.X[:9])
        assert first.dtype == np.float32
        assert first.shape == (9, linear.Y.shape[1])
        np.testing.assert_array_equal(first, second)

    def test_inputs_stay_as_they_were(self, translator: BaseTranslator, linear, with_gaps) -> None:
        X, Y = with_gaps(linear.X, 0.1), with_gaps(linear.Y, 0.1)
        before = X.copy(), Y.copy()
        clone(translator).fit(X, Y, groups=linear.groups).predict(X)
        np.testing.assert_array_equal(X, before[0])
        np.testing.assert_array_equal(Y, before[1])

    def test_gaps_leave_finite_predictions_near_those_without(
        self, translator: BaseTranslator, linear, with_gaps
    ) -> None:
        complete = clone(translator).fit(linear.X, linear.Y, groups=linear.groups).predict(linear.X)
        gappy = clone(translator).fit(with_gaps(linear.X, 0.03), with_gaps(linear.Y, 0.03), groups=linear.groups)
        predicted = gappy.predict(with_gaps(linear.X, 0.03))
        assert np.isfinite(predicted).all()
        assert np.square(predicted - complete).mean() < 0.3 * linear.Y.var()

    def test_a_row_is_predicted_by_itself(self, translator: BaseTranslator, linear) -> None:
        fitted = clone(translator).fit(linear.X, linear.Y, groups=linear.groups)
        together = fitted.predict(linear.X)
        np.testing.assert_allclose(fitted.predict(linear.X[5:6]), together[5:6], rtol=1e-4, atol=1e-4)

    def test_a_source_without_variance_gives_the_training_mean(self, translator: BaseTranslator, linear) -> None:
        constant = np.full_like(linear.X, 3.1)
        fitted = clone(translator).fit(constant, linear.Y, groups=linear.groups)
        # a network trains its biases on, a forest averages resampled rows
        tolerance = 0.5 if isinstance(translator, MLP) else 0.15 if isinstance(translator, TargetForest) else 1e-3
        assert np.abs(fitted.predict(constant) - linear.Y.mean(axis=0)).max() < tolerance


def test_folds_keep_groups_whole_and_cover_each_row_once() -> None:
    groups = np.repeat(list("abcdefg"), [5, 1, 3, 2, 4, 1, 2])
    folds = group_folds(len(groups), groups, n_folds=3, seed=0)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(groups)))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(groups)


def test_fewer_groups_than_folds_give_a_fold_each() -> None:
    assert len(group_folds(9, np.repeat([0, 1, 2], 3), n_folds=5, seed=0)) == 3


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="`groups` holds 1 group over 4 rows; validation needs at least 2"):
        group_folds(4, np.zeros(4), n_folds=5, seed=0)


def test_column_mean_takes_measured_values_alone() -> None:
    values = np.array([[1, np.nan, np.nan], [3, 5, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(column_mean(values), [2, 5, 0])
