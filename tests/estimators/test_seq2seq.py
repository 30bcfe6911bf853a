from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import Seq2Seq


def _skill(true: np.ndarray, predicted: np.ndarray, mean: np.ndarray) -> float:
    return float(1 - np.nansum((true - predicted) ** 2) / np.nansum((true - mean) ** 2))


def test_it_recovers_a_linear_map_better_than_the_mean(make_linear, with_gaps) -> None:
    data = make_linear(n=300, p=5, m=3, noise=0.1)
    Y = with_gaps(data.Y, 0.05)
    model = Seq2Seq(width=16, n_layers=1, max_epochs=25, learning_rate=5e-3)
    model.fit(data.X[:240], Y[:240], groups=data.groups[:240])
    assert _skill(data.Y[240:], model.predict(data.X[240:]), np.nanmean(Y[:240], axis=0)) > 0.5


@pytest.mark.usefixtures("unchanged_rng")
def test_equal_seeds_predict_equally_and_batches_do_not_matter(linear) -> None:
    models = [Seq2Seq(width=8, n_layers=1, n_heads=2, max_epochs=2).fit(linear.X, linear.Y) for _ in range(2)]
    first, second = (model.predict(linear.X) for model in models)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(models[0].predict(linear.X[7:9]), first[7:9], rtol=1e-3, atol=1e-4)
