from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import torch

from scgx import pp, tl
from scgx.estimators import TransPlatformer, column_mean

TINY = {"bottleneck": 4, "width": 4, "n_encoder_layers": 1, "slots": 3, "max_epochs": 2}
SMALL = {
    "bottleneck": 16,
    "width": 16,
    "n_encoder_layers": 1,
    "slots": 5,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "max_epochs": 12,
}


def skill(model: TransPlatformer, train: tuple, X: np.ndarray, Y: np.ndarray) -> float:
    predicted = model.fit(*train).predict(X)
    return 1 - np.square(Y - predicted).sum() / np.square(Y - column_mean(train[1])).sum()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="slots"),
        pytest.param({"softmax": "tokens"}, id="tokens"),
        pytest.param({"bottleneck": None}, id="gene tokens"),
    ],
)
def test_it_recovers_a_linear_map_in_several_decoders(change: dict, make_linear) -> None:
    X, Y, _ = make_linear(n=260, p=12, m=8, noise=0.1)
    assert skill(TransPlatformer(**SMALL | change), (X[:200], Y[:200]), X[200:], Y[200:]) > 0.6


def test_gaps_in_source_and_target(make_linear, with_gaps) -> None:
    X, Y, _ = make_linear(n=260, p=12, m=8, noise=0.1)
    train = with_gaps(X[:200], 0.1), with_gaps(Y[:200], 0.2)
    assert skill(TransPlatformer(**SMALL), train, X[200:], Y[200:]) > 0.5


def test_a_row_is_predicted_alike_in_any_company(linear) -> None:
    model = TransPlatformer(**TINY).fit(linear.X, linear.Y, groups=linear.groups)
    many = np.tile(linear.X, (10, 1))  # several blocks
    np.testing.assert_allclose(model.predict(many)[-60:][::-1], model.predict(linear.X[::-1]), atol=1e-5)


def test_a_missing_source_value_is_the_training_mean_behind_a_bottleneck(linear) -> None:
    model = TransPlatformer(**TINY).fit(linear.X, linear.Y)
    gap, filled = linear.X.copy(), linear.X.copy()
    gap[:, 3], filled[:, 3] = np.nan, linear.X[:, 3].mean()
    np.testing.assert_allclose(model.predict(gap), model.predict(filled), atol=1e-5)


def test_rescaling_the_targets_rescales_the_predictions(linear) -> None:
    model = TransPlatformer(**TINY)
    small = model.fit(linear.X, linear.Y).predict(linear.X)
    large = model.fit(linear.X, 1000 * linear.Y + 7).predict(linear.X)
    np.testing.assert_allclose(large, 1000 * small + 7, rtol=1e-2, atol=2)


def test_torchs_global_generator_stays_and_does_not_matter(linear) -> None:
    before = torch.get_rng_state()
    model = TransPlatformer(**TINY).fit(linear.X, linear.Y)
    first = model.predict(linear.X)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.rand(3)
        np.testing.assert_array_equal(TransPlatformer(**TINY).fit(linear.X, linear.Y).predict(linear.X), first)
    assert np.abs(TransPlatformer(**TINY, seed=1).fit(linear.X, linear.Y).predict(linear.X) - first).max() > 1e-4


def test_fitted_state_is_arrays_and_plain_values(linear) -> None:
    model = TransPlatformer(**TINY).fit(linear.X, linear.Y)
    assert {type(weight) for weight in model.weights_.values()} == {np.ndarray}


def test_attention_goes_to_genes_that_vary_together_with_the_target() -> None:
    """Behind a bottleneck only units that matter grow; a constant gene keeps its first weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 12)).astype(np.float32)
    Y = (X[:, :2] @ rng.normal(size=(2, 6))).astype(np.float32)
    attention = TransPlatformer(**SMALL | {"weight_decay": 1.0}).fit(X, Y).attention(X[:50])
    assert attention.shape == (50, 12)
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)
    mean = attention.mean(axis=0)
    assert mean[:2].min() > mean[2:].max()


def test_it_is_saved_and_loaded_with_a_translator(linear, tmp_path: Path) -> None:
    source = ad.AnnData(linear.X)
    pp.add_target(source, ad.AnnData(linear.Y))
    translator = tl.Translator(TransPlatformer(**TINY)).fit(source)
    translator.save(tmp_path)
    loaded = tl.Translator.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(source)[0], translator.predict(source)[0])
