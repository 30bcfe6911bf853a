from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import scgx.nn
from scgx import pp, tl
from scgx.estimators import BaseTranslator, GeneScaler, KernelRidge, SampleAttention

DRIVERS = [3, 20, 41, 66, 90]


def _skill(model: BaseTranslator, X: np.ndarray, Y: np.ndarray, *, n_train: int) -> float:
    """Share of the squared error of the training mean that is removed on the rows after the first ``n_train``."""
    predicted = model.fit(X[:n_train], Y[:n_train]).predict(X[n_train:])
    of_mean = np.square(Y[n_train:] - Y[:n_train].mean(axis=0)).sum()
    return float(1 - np.square(Y[n_train:] - predicted).sum() / of_mean)


def _spied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every network made from now on."""
    made = []

    class Spy(scgx.nn.SampleAttention):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(scgx.nn, "SampleAttention", Spy)
    return made


def test_it_finds_the_genes_that_drive_the_target() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 100)).astype(np.float32)
    drivers = X[:, DRIVERS]
    effects = np.hstack([np.tanh(2 * drivers), np.abs(drivers)]) @ rng.normal(size=(10, 8)) / 2
    Y = (effects + 0.3 * rng.normal(size=effects.shape)).astype(np.float32)
    model = SampleAttention(max_steps=60)
    assert _skill(model, X, Y, n_train=120) > _skill(KernelRidge(), X, Y, n_train=120) + 0.3
    assert sorted(np.argsort(model.gene_weights_.mean(axis=0))[-5:]) == DRIVERS


def test_it_learns_little_from_noise() -> None:
    rng = np.random.default_rng(0)
    X, Y = (rng.normal(size=(200, size)).astype(np.float32) for size in (40, 10))
    model = SampleAttention()
    assert _skill(model, X, Y, n_train=100) > -0.05
    assert (model.n_steps_ < model.max_steps).all()


def test_numpy_prediction_is_the_networks_forward_pass(linear, with_gaps, monkeypatch) -> None:
    made, Y = _spied(monkeypatch), with_gaps(linear.Y, 0.2)
    model = SampleAttention(max_steps=10).fit(linear.X[:40], Y[:40])
    scaler = GeneScaler("standard").fit(linear.X[:40])
    support, query = (torch.from_numpy(scaler.transform(rows)) for rows in (linear.X[:40], linear.X[40:]))
    targets = torch.from_numpy(Y[:40])
    expected = [scgx.nn.predict(network, query, support, targets, torch.arange(7)) for network in made]
    assert len(made) == model.n_members
    np.testing.assert_allclose(
        model.predict(linear.X[40:]), torch.stack(expected).mean(dim=0).detach(), rtol=1e-3, atol=1e-4
    )


def test_a_member_is_the_network_that_predicted_its_left_out_rows_best(linear, monkeypatch) -> None:
    """Training goes on for `patience` looks after the best step; what is kept must be the best step."""
    made = _spied(monkeypatch)
    SampleAttention(n_members=1, max_steps=60, patience=100).fit(linear.X, linear.Y)
    steps = SampleAttention(n_members=1, max_steps=60, patience=100).fit(linear.X, linear.Y).n_steps_[0]
    SampleAttention(n_members=1, max_steps=int(steps), patience=100).fit(linear.X, linear.Y)
    longer, _, shorter = made
    for first, second in zip(longer.parameters(), shorter.parameters(), strict=True):
        assert torch.equal(first, second)


def test_members_differ(linear, monkeypatch) -> None:
    made = _spied(monkeypatch)
    SampleAttention(max_steps=5).fit(linear.X, linear.Y)
    weights = [network.log_weights.detach().numpy() for network in made]
    assert min(np.abs(weights[i] - weights[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.05


@pytest.mark.usefixtures("unchanged_rng")
def test_torchs_global_generator_stays_and_does_not_matter(linear) -> None:
    torch.default_generator.manual_seed(5)
    before = torch.get_rng_state()
    first = SampleAttention(max_steps=5).fit(linear.X, linear.Y).predict(linear.X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    second = SampleAttention(max_steps=5).fit(linear.X, linear.Y).predict(linear.X)
    np.testing.assert_array_equal(first, second)


def test_another_seed_is_another_kernel(linear) -> None:
    predicted = [SampleAttention(max_steps=5, seed=s).fit(linear.X, linear.Y).predict(linear.X) for s in (0, 1)]
    assert np.abs(predicted[0] - predicted[1]).max() > 1e-3


def test_rescaling_the_targets_rescales_the_predictions(linear) -> None:
    model = SampleAttention(max_steps=10)
    small = model.fit(linear.X, linear.Y).predict(linear.X)
    large = model.fit(linear.X, 1000 * linear.Y + 7).predict(linear.X)
    np.testing.assert_allclose(large, 1000 * small + 7, rtol=1e-2, atol=5)


def test_units_of_a_gene_do_not_matter_to_heads_of_equal_variance(linear, monkeypatch) -> None:
    made, units = _spied(monkeypatch), np.geomspace(0.1, 10, 20).astype(np.float32)
    for X in (linear.X, linear.X * units):
        SampleAttention(max_steps=0, n_members=1, n_heads=2).fit(X, linear.Y)
    change = (made[-1].log_weights - made[0].log_weights).detach().numpy()
    np.testing.assert_allclose(change[1], 0, atol=1e-5)
    np.testing.assert_allclose(change[0], 0.5 * np.log(units / units.prod() ** (1 / 20)), atol=1e-4)  # Pareto


def test_gaps_in_source_and_target_cost_little(make_linear, with_gaps) -> None:
    data = make_linear(n=160, noise=0.1)
    X, Y = data.X.copy(), data.Y.copy()
    X[:100], Y[:100] = with_gaps(X[:100], 0.05), with_gaps(Y[:100], 0.05)
    Y[:100, 2] = np.nan
    model = SampleAttention(max_steps=20).fit(X[:100], Y[:100])
    predicted, measured = model.predict(X[100:]), np.arange(7) != 2
    assert not predicted[:, 2].any()  # a gene never measured is predicted at 0
    left = np.square(Y[100:] - predicted)[:, measured].sum()
    assert left < 0.4 * np.square(Y[100:] - Y[100:].mean(axis=0))[:, measured].sum()


def test_rows_beyond_max_rows_are_thinned(make_linear) -> None:
    data = make_linear(n=160, noise=0.1)
    scaled = GeneScaler("standard").fit(data.X[:100]).transform(data.X[:100])
    model = SampleAttention(max_steps=20, max_rows=40)
    assert _skill(model, data.X, data.Y, n_train=100) > 0.3
    distances = np.abs(model.support_[:, None] - scaled).max(axis=2)
    assert (distances.min(axis=1) < 1e-6).all()
    assert len(np.unique(distances.argmin(axis=1))) == 40


def test_groups_stay_whole(linear, monkeypatch) -> None:
    """Copies of a row lie in one group: if validation or an episode split it, copying would look perfect."""
    sides = []

    class Spy(scgx.nn.SampleAttention):
        def forward(self, query: torch.Tensor, support: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
            sides.append([{tuple(row.tolist()) for row in side} for side in (query, support)])
            return super().forward(query, support, *rest)

    monkeypatch.setattr(scgx.nn, "SampleAttention", Spy)
    X, Y = (np.repeat(values[:20], 3, axis=0) for values in (linear.X, linear.Y))
    SampleAttention(max_steps=10).fit(X, Y, groups=np.repeat([f"c{i}" for i in range(20)], 3))
    assert len(sides) > 10
    assert not any(query & support for query, support in sides)
    sides.clear()
    SampleAttention(max_steps=10).fit(X, Y)
    assert any(query & support for query, support in sides)


def test_two_groups_keep_the_first_kernel(linear) -> None:
    """Validation leaves one group, from which no episode can leave anything out."""
    assert not SampleAttention().fit(linear.X, linear.Y, groups=np.arange(60) % 2).n_steps_.any()


def test_one_group_is_refused(linear) -> None:
    with pytest.raises(ValueError, match="`groups` holds 1 group over 60 rows"):
        SampleAttention().fit(linear.X, linear.Y, groups=np.zeros(60))


def test_clone_keeps_settings_alone(linear) -> None:
    settings = {"n_members": 2, "n_heads": 2, "learning_rate": 1e-2, "max_steps": 5, "patience": 2, "max_rows": 50}
    settings |= {"episode_rows": 40, "max_targets": 3}
    model = SampleAttention(**settings, seed=4).fit(linear.X, linear.Y)
    copy = clone(model)
    assert copy.get_params() == {**settings, "seed": 4}
    assert not hasattr(copy, "support_")
    np.testing.assert_array_equal(copy.fit(linear.X, linear.Y).predict(linear.X), model.predict(linear.X))


@pytest.fixture
def paired(make_linear: Callable[..., Any]) -> ad.AnnData:
    data = make_linear()
    rows = pd.DataFrame({"compound": data.groups.astype(str)}, index=[f"s{i}" for i in range(60)])
    source, target = (
        ad.AnnData(values, obs=rows, var=pd.DataFrame(index=[f"{letter}{i}" for i in range(values.shape[1])]))
        for letter, values in (("g", data.X), ("t", data.Y))
    )
    pp.add_target(source, target)
    return source


def test_save_and_load(paired: ad.AnnData, tmp_path: Path) -> None:
    translator = tl.Translator(SampleAttention(max_steps=5), group_key="compound").fit(paired)
    translator.save(tmp_path / "model")
    loaded = tl.Translator.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(paired)[0], translator.predict(paired)[0])


def test_tissue_tells_what_the_genes_do_not() -> None:
    """The effect of every gene turns its sign with the tissue, which no gene shows."""
    rng = np.random.default_rng(0)
    X, tissue = rng.normal(size=(240, 8)).astype(np.float32), np.array(["liver", "kidney"] * 120)
    Y = np.where(tissue == "liver", 1, -1)[:, None] * X @ rng.normal(size=(8, 5))
    Y = (Y + 0.3 * rng.normal(size=Y.shape)).astype(np.float32)
    train, test = slice(160), slice(160, None)
    blind = SampleAttention().fit(X[train], Y[train]).predict(X[test])
    model = SampleAttention().fit(X[train], Y[train], tissue=tissue[train])
    seeing = model.predict(X[test], tissue=tissue[test])
    left_blind, left = (np.square(Y[test] - predicted).sum() for predicted in (blind, seeing))
    assert left < 0.7 * left_blind
    assert model.gene_importance(X).shape == (8,)


def test_an_unknown_tissue_is_none_of_the_known(linear) -> None:
    tissue = np.where(np.arange(60) % 2, "liver", "kidney")
    model = SampleAttention(max_steps=5).fit(linear.X, linear.Y, tissue=tissue)
    unknown = model.predict(linear.X, tissue=np.full(60, "brain"))
    np.testing.assert_allclose(unknown, model.predict(linear.X), rtol=1e-5)
    assert np.abs(unknown - model.predict(linear.X, tissue=tissue)).max() > 1e-3
