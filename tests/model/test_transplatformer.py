from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

from scgx.model import TransPlatformer

SIZES = {"bottleneck": 16, "width": 16, "n_encoder_layers": 1, "slots": 5}
FIT = {"lr": 1e-2, "weight_decay": 0.1, "accelerator": "cpu", "progress": False}


def make_mudata(n: int = 240, p: int = 12, m: int = 8) -> MuData:
    """Targets linear in the source with little noise; four rows a compound; a few gaps on both sides."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)).astype(np.float32)
    Y = (2 + X @ rng.normal(size=(p, m)) + 0.1 * rng.normal(size=(n, m))).astype(np.float32)
    X[rng.random(X.shape) < 0.02], Y[rng.random(Y.shape) < 0.1] = np.nan, np.nan
    obs = pd.DataFrame(
        {"compound": [f"c{i // 4}" for i in range(n)], "tissue": pd.Categorical(rng.choice(["liver", "kidney"], n))},
        index=[f"s{i}" for i in range(n)],
    )
    source = ad.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"a{i}" for i in range(p)]))
    target = ad.AnnData(Y, obs=obs.copy(), var=pd.DataFrame(index=[f"b{i}" for i in range(m)]))
    return MuData({"source": source, "target": target})


@pytest.fixture(scope="module")
def mdata() -> MuData:
    return make_mudata()


@pytest.fixture(scope="module")
def trained(mdata: MuData) -> TransPlatformer:
    part = MuData({name: modality[:200].copy() for name, modality in mdata.mod.items()})
    TransPlatformer.setup_mudata(part, group_key="compound", tissue_key="tissue")
    model = TransPlatformer(part, **SIZES)
    model.train(max_epochs=12, **FIT)
    return model


def test_it_beats_the_mean_on_rows_left_out(trained: TransPlatformer, mdata: MuData) -> None:
    Y, mean = mdata["target"].X[200:], np.nanmean(mdata["target"].X[:200], axis=0)
    predicted = trained.translate(mdata["source"][200:])
    assert predicted.dtype == np.float32
    assert 1 - np.nansum(np.square(Y - predicted)) / np.nansum(np.square(Y - mean)) > 0.6


def test_genes_are_found_by_name(trained: TransPlatformer, mdata: MuData) -> None:
    expected = trained.translate(mdata["source"])
    extra = ad.AnnData(np.full((240, 3), 9.0, dtype=np.float32), obs=mdata["source"].obs)
    extra.var_names = ["x0", "x1", "x2"]
    wide = ad.concat([extra, mdata["source"]], axis=1)
    wide = wide[:, np.random.default_rng(0).permutation(wide.n_vars)].copy()
    np.testing.assert_allclose(trained.translate(wide), expected, atol=1e-5)


def test_missing_genes_count_as_their_mean_and_half_is_needed(trained: TransPlatformer, mdata: MuData) -> None:
    source = mdata["source"]
    filled = source.copy()
    train = trained.train_indices
    filled.X[:, :3] = np.nanmean(source.X[:200][train, :3], axis=0)
    np.testing.assert_allclose(trained.translate(source[:, 3:]), trained.translate(filled), atol=1e-4)
    with pytest.raises(ValueError, match=r"5 of 12 genes.*at least 50%"):
        trained.translate(source[:, :5])


def test_rows_are_independent_and_in_order(trained: TransPlatformer, mdata: MuData, tmp_path: Path) -> None:
    source = mdata["source"]
    expected = trained.translate(source)
    many = ad.concat([source] * 4, index_unique="-")[::-1].copy()  # several blocks
    np.testing.assert_allclose(trained.translate(many), np.tile(expected, (4, 1))[::-1], atol=1e-5)
    many.write_h5ad(tmp_path / "many.h5ad")
    backed = ad.read_h5ad(tmp_path / "many.h5ad", backed="r")
    np.testing.assert_array_equal(trained.translate(backed), trained.translate(many))


def test_losses_of_every_epoch_and_the_best_weights_are_kept(trained: TransPlatformer, mdata: MuData) -> None:
    history = trained.history["validation_loss"].iloc[:, 0].to_numpy(dtype=float)
    assert len(history) == len(trained.history["train_loss"])
    rows = trained.validation_indices
    Y = mdata["target"].X[:200]
    scale = np.sqrt(np.nanmean(np.square(Y[trained.train_indices] - np.nanmean(Y[trained.train_indices], axis=0))))
    error = np.nanmean(np.square(trained.translate(mdata["source"][rows]) - Y[rows])) / scale**2
    # the history weighs each batch by its rows, not by its measured values
    assert error == pytest.approx(history.min(), rel=0.05)


def test_validation_keeps_groups_whole(trained: TransPlatformer, mdata: MuData) -> None:
    compound = mdata["source"].obs["compound"].to_numpy()
    train, validation = set(compound[trained.train_indices]), set(compound[trained.validation_indices])
    assert len(validation) == 5  # a tenth of 50
    assert not train & validation


def test_it_stops_early_on_noise() -> None:
    noisy = make_mudata(n=60)
    noisy["target"].X = np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32)
    TransPlatformer.setup_mudata(noisy)
    model = TransPlatformer(noisy, **SIZES)
    model.train(max_epochs=60, patience=3, **FIT)
    losses = model.history["validation_loss"].iloc[:, 0].to_numpy(dtype=float)
    assert len(losses) == np.argmin(losses) + 4 < 60


def test_attention(trained: TransPlatformer, mdata: MuData) -> None:
    source = mdata["source"][:, :10]
    attention = trained.get_attention(source)
    assert attention.shape == (240, 12)
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)
    assert (attention[["a10", "a11"]] == 0).all(axis=None)
    by_tissue = trained.get_attention(source, groupby="tissue")
    liver = (source.obs["tissue"] == "liver").to_numpy()
    np.testing.assert_allclose(by_tissue.loc["liver"], attention[liver].mean(), rtol=1e-5)
    with pytest.raises(KeyError, match=r"groupby='tisue'.*nearest: 'tissue'"):
        trained.get_attention(source, groupby="tisue")


def test_save_and_load(trained: TransPlatformer, mdata: MuData, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}
    loaded = TransPlatformer.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.translate(mdata["source"]), trained.translate(mdata["source"]))
    losses = trained.history["validation_loss"].to_numpy(dtype=float)
    np.testing.assert_array_equal(loaded.history["validation_loss"], losses)
    assert loaded.target_genes.tolist() == mdata["target"].var_names.tolist()
    with pytest.raises(ValueError, match="a loaded model holds no rows to train on"):
        loaded.train()


def _flip(directory: Path) -> None:
    content = bytearray((directory / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (directory / "model.safetensors").write_bytes(content)


def _other_model(directory: Path) -> None:
    path = directory / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": "UGE"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(_flip, "is damaged: its checksum differs", id="one bit"),
        pytest.param(_other_model, "holds UGE in format 1", id="another model"),
        pytest.param(lambda d: (d / "model.json").write_text("["), "damaged or not a saved model", id="no JSON"),
        pytest.param(lambda d: (d / "model.safetensors").unlink(), "is not a saved model", id="file missing"),
    ],
)
def test_damaged_files(trained: TransPlatformer, damage: object, message: str, tmp_path: Path) -> None:
    trained.save(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        TransPlatformer.load(tmp_path)


@pytest.mark.usefixtures("unchanged_rng")
def test_the_users_object_and_generators_are_left_alone() -> None:
    mdata = make_mudata(n=24)
    before, state = mdata.copy(), torch.get_rng_state()
    TransPlatformer.setup_mudata(mdata, group_key="compound")
    TransPlatformer(mdata, **SIZES).train(max_epochs=1, **FIT)
    assert torch.equal(torch.get_rng_state(), state)
    assert dict(mdata.uns) == {}
    for name in ("source", "target"):
        assert dict(mdata[name].uns) == {}
        assert list(mdata[name].obsm) == []
        pd.testing.assert_frame_equal(mdata[name].obs, before[name].obs)
        np.testing.assert_array_equal(mdata[name].X, before[name].X)
    pd.testing.assert_frame_equal(mdata.obs, before.obs)


def test_seeds() -> None:
    mdata = make_mudata(n=24)
    TransPlatformer.setup_mudata(mdata)
    runs = []
    for seed in (0, 0, 1):
        model = TransPlatformer(mdata, **SIZES, seed=seed)
        model.train(max_epochs=1, seed=seed, **FIT)
        runs.append(model.translate(mdata["source"]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3


def test_a_layer_named_at_setup_is_used() -> None:
    mdata = make_mudata(n=24)
    mdata["source"].layers["half"] = mdata["source"].X / 2
    TransPlatformer.setup_mudata(mdata, source_layer="half")
    model = TransPlatformer(mdata, **SIZES)
    model.train(max_epochs=1, **FIT)
    expected = model.translate(mdata["source"])
    mdata["source"].X[:] = 7.0
    np.testing.assert_array_equal(model.translate(mdata["source"]), expected)


def reordered() -> MuData:
    mdata = make_mudata(n=24)
    return MuData({"source": mdata["source"].copy(), "target": mdata["target"][::-1].copy()})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param({"target": "targt"}, KeyError, r"target='targt' is not in .mod; nearest: 'target'", id="modality"),
        pytest.param({"source_layer": "log"}, KeyError, r"layer='log' is not in .layers", id="layer"),
        pytest.param({"group_key": "compund"}, KeyError, r"group_key='compund'.*nearest: 'compound'", id="group"),
    ],
)
def test_what_is_missing_is_named(mdata: MuData, change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TransPlatformer.setup_mudata(mdata, **change)


def test_reordered_modalities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"same cells in another order.*scgx\.pp\.pair"):
        TransPlatformer.setup_mudata(reordered())


def test_what_changed_after_setup_is_seen() -> None:
    mdata = make_mudata(n=24)
    TransPlatformer.setup_mudata(mdata)
    mdata.mod["target"].obs_names = mdata["target"].obs_names[::-1]
    with pytest.raises(ValueError, match="in another order"):
        TransPlatformer(mdata)


def test_without_setup_data_groups_or_training() -> None:
    mdata = make_mudata(n=8)
    with pytest.raises(ValueError, match=r"not set up; call `TransPlatformer.setup_mudata"):
        TransPlatformer(mdata)
    with pytest.raises(TypeError, match=r"needs two panels.*setup_mudata"):
        TransPlatformer.setup_anndata(mdata["source"])
    mdata["source"].obs["study"] = "one"
    TransPlatformer.setup_mudata(mdata, group_key="study")
    model = TransPlatformer(mdata, **SIZES)
    with pytest.raises(ValueError, match="is not trained"):
        model.translate(mdata["source"])
    with pytest.raises(ValueError, match=r"at least 2 groups; found 1 over 8 rows"):
        model.train(**FIT)
    mdata["target"].X[2:] = np.nan
    with pytest.raises(ValueError, match=r"only 2 of 8 rows have a measured value in mod\['target'\]"):
        TransPlatformer(mdata)


def test_configurations_are_arguments_of_the_class(mdata: MuData) -> None:
    paper, small = TransPlatformer.paper_config(), TransPlatformer.small_config()
    assert paper["n_encoder_layers"] + paper["n_decoder_layers"] == 32
    assert (paper["width"], paper["slots"]) == (16, 512)
    TransPlatformer.setup_mudata(mdata)
    default, explicit = TransPlatformer(mdata), TransPlatformer(mdata, **small)
    assert default.module.network.config == explicit.module.network.config


def test_the_package_is_loaded_on_first_use() -> None:
    import scgx

    assert scgx.model.TransPlatformer is TransPlatformer
    assert "model" in dir(scgx)
    with pytest.raises(AttributeError, match="'scgx' has no attribute 'modle'"):
        _ = scgx.modle
