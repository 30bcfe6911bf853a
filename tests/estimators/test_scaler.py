from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from scgx.estimators import GeneScaler


def test_standard_is_scikit_learns_scaler(linear) -> None:
    ours = GeneScaler("standard").fit(linear.X[:40]).transform(linear.X[40:])
    reference = StandardScaler().fit(linear.X[:40].astype(np.float64)).transform(linear.X[40:])
    np.testing.assert_allclose(ours, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("scaling", "power"), [("standard", 0.0), ("pareto", 0.5), ("none", 1.0)])
def test_a_power_of_the_deviation_is_left(linear, scaling: str, power: float) -> None:
    left = GeneScaler(scaling).fit_transform(linear.X).std(axis=0)
    np.testing.assert_allclose(left, linear.X.std(axis=0) ** power, rtol=1e-4)


def test_missing_values_become_the_mean_and_do_not_move_it(linear, with_gaps) -> None:
    gappy = with_gaps(linear.X, 0.2)
    scaled = GeneScaler("standard").fit_transform(gappy)
    assert (scaled[np.isnan(gappy)] == 0).all()
    reference = (gappy - np.nanmean(gappy, axis=0)) / np.nanstd(gappy, axis=0)
    np.testing.assert_allclose(scaled[~np.isnan(gappy)], reference[~np.isnan(gappy)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_a_constant_gene_stays_silent_even_where_a_query_differs(value: float) -> None:
    scaler = GeneScaler("standard").fit(np.full((50, 1), value, dtype=np.float32))
    assert scaler.transform(np.array([[value + 1]], dtype=np.float32)) == 0
