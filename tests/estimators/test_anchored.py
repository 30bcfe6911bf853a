from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import KNeighborsRegressor

from scgx.estimators import (
    Anchored,
    BaseTranslator,
    KernelRidge,
    SklearnTranslator,
    TrainingAverage,
    group_folds,
)


def _skill(model: BaseTranslator, data) -> float:
    model.fit(data.X[:100], data.Y[:100], groups=data.groups[:100])
    left = np.square(data.Y[100:] - model.predict(data.X[100:])).sum()
    return float(1 - left / np.square(data.Y[100:] - data.Y[:100].mean(axis=0)).sum())


class Wrong(BaseTranslator):
    """Predicts the opposite of what it was shown."""

    def fit(self, X, Y, *, groups=None, tissue=None):
        self.ridge_ = KernelRidge(kernel="linear").fit(X, -Y, groups=groups)
        return self

    def predict(self, X, *, tissue=None):
        return self.ridge_.predict(X)


def test_over_the_mean_the_learner_does_nearly_all(make_linear) -> None:
    data = make_linear(n=160, noise=0.1)
    alone = _skill(KernelRidge(kernel="linear"), data)
    model = Anchored(TrainingAverage(), KernelRidge(kernel="linear"))
    assert _skill(model, data) > alone - 0.03
    assert model.share_ > 0.9


def test_a_harmful_learner_gets_no_share(make_linear) -> None:
    data = make_linear(n=160, noise=0.1)
    model, anchor = Anchored(TrainingAverage(), Wrong()), TrainingAverage()
    assert _skill(model, data) == pytest.approx(_skill(anchor, data), abs=1e-6)
    assert model.share_ == 0


def test_an_anchor_that_fits_by_heart_is_still_corrected(make_linear) -> None:
    """Its residual on the rows it has seen is 0: a learner of that would find nothing to do."""
    data = make_linear(n=160, noise=0.1)
    by_heart = SklearnTranslator(KNeighborsRegressor(n_neighbors=1))
    corrected = Anchored(by_heart, KernelRidge(kernel="linear"))
    assert _skill(corrected, data) > _skill(clone(by_heart), data) + 0.1


def test_share_is_the_least_squares_factor_of_left_out_groups(make_linear) -> None:
    data = make_linear(n=100, noise=1.0)
    neighbor = SklearnTranslator(KNeighborsRegressor(n_neighbors=1))  # corrects too much
    model = Anchored(TrainingAverage(), neighbor, seed=3)
    model.fit(data.X, data.Y, groups=data.groups)
    folds = group_folds(100, data.groups, n_folds=5, seed=3)
    residual = np.empty_like(data.Y)
    for train, test in folds:
        residual[test] = data.Y[test] - data.Y[train].mean(axis=0)
    train, test = folds[0]
    learner = clone(neighbor).fit(data.X[train], residual[train])
    correction = learner.predict(data.X[test]).reshape(-1, 1)
    expected = np.linalg.lstsq(correction, residual[test].ravel())[0]
    assert 0 < expected[0] < 1
    assert model.share_ == pytest.approx(expected[0], rel=1e-3)


def test_gaps_in_the_target_are_left_out_of_the_share(make_linear, with_gaps) -> None:
    data = make_linear(n=160, noise=0.1)
    model = Anchored(TrainingAverage(), KernelRidge(kernel="linear"))
    model.fit(data.X, with_gaps(data.Y, 0.2), groups=data.groups)
    assert model.share_ > 0.8
