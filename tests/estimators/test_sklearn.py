from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from scgx.estimators import SklearnTranslator


def test_a_regressor_of_many_outputs_is_fitted_once(linear) -> None:
    pipeline = make_pipeline(StandardScaler(), Ridge(3.0))
    predicted = SklearnTranslator(pipeline).fit(linear.X, linear.Y).predict(linear.X)
    np.testing.assert_allclose(predicted, pipeline.fit(linear.X, linear.Y).predict(linear.X), rtol=1e-3, atol=1e-4)
    assert predicted.dtype == np.float32


def test_a_regressor_of_one_output_is_fitted_a_target(linear) -> None:
    predicted = SklearnTranslator(SVR()).fit(linear.X, linear.Y).predict(linear.X)
    centred = linear.X - linear.X.mean(axis=0)
    for j in (0, 6):
        alone = SVR().fit(centred, linear.Y[:, j]).predict(centred)
        np.testing.assert_allclose(predicted[:, j], alone, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("estimator", [Ridge(), SVR()], ids=["many outputs", "one output"])
def test_a_single_target_stays_a_column(linear, estimator: Ridge | SVR) -> None:
    assert SklearnTranslator(estimator).fit(linear.X, linear.Y[:, :1]).predict(linear.X[:4]).shape == (4, 1)


def test_missing_source_values_count_as_the_mean(linear, with_gaps) -> None:
    gappy = with_gaps(linear.X, 0.1)
    filled = np.where(np.isnan(gappy), np.nanmean(gappy, axis=0), gappy)
    predicted = [SklearnTranslator(Ridge()).fit(X, linear.Y).predict(X) for X in (gappy, filled)]
    np.testing.assert_allclose(*predicted, rtol=1e-3, atol=1e-4)


def test_the_given_estimator_stays_unfitted(linear) -> None:
    ridge = Ridge()
    SklearnTranslator(ridge).fit(linear.X, linear.Y)
    assert not hasattr(ridge, "coef_")


@pytest.mark.parametrize("estimator", [LogisticRegression(), Ridge, StandardScaler(), "ridge"])
def test_what_is_no_regressor_is_refused(linear, estimator: object) -> None:
    with pytest.raises(TypeError, match="`estimator` must be a scikit-learn regressor object; found"):
        SklearnTranslator(estimator).fit(linear.X, linear.Y)


def test_targets_with_gaps_are_refused_with_a_way_out(linear) -> None:
    Y = linear.Y.copy()
    Y[0, :2] = np.nan
    with pytest.raises(ValueError, match="2 of 7 target genes have missing values. Drop or impute"):
        SklearnTranslator(GradientBoostingRegressor()).fit(linear.X, Y)
