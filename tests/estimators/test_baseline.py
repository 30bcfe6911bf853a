from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scgx.estimators import TrainingAverage


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_average_by_tissue_is_the_pandas_one(linear, with_gaps, statistic: str) -> None:
    Y, tissue = with_gaps(linear.Y, 0.2), np.resize(["liver", "kidney", "heart"], len(linear.Y))
    fitted = TrainingAverage(statistic, by_tissue=True).fit(linear.X, Y, tissue=tissue)
    expected = pd.DataFrame(Y.astype(float)).groupby(tissue).agg(statistic).loc[["heart", "liver"]]
    predicted = fitted.predict(linear.X[:2], tissue=np.array(["heart", "liver"]))
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)


def test_a_new_tissue_gets_the_average_over_all(linear) -> None:
    fitted = TrainingAverage(by_tissue=True).fit(linear.X, linear.Y, tissue=np.resize(["liver", "kidney"], 60))
    predicted = fitted.predict(linear.X[:1], tissue=np.array(["brain"]))
    np.testing.assert_allclose(predicted[0], linear.Y.mean(axis=0), rtol=1e-5)


def test_a_gene_never_measured_in_a_tissue_gets_its_average_over_all(linear) -> None:
    Y, tissue = linear.Y.copy(), np.resize(["liver", "kidney"], 60)
    Y[tissue == "liver", 2] = np.nan
    predicted = TrainingAverage(by_tissue=True).fit(linear.X, Y, tissue=tissue).predict(linear.X[:1], tissue=["liver"])
    assert predicted[0, 2] == pytest.approx(Y[tissue == "kidney", 2].mean(), rel=1e-5)


def test_by_tissue_needs_tissue(linear) -> None:
    with pytest.raises(ValueError, match="`by_tissue=True` needs `tissue`"):
        TrainingAverage(by_tissue=True).fit(linear.X, linear.Y)
