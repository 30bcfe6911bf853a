from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from scgx import tl
from scgx.estimators import MLP, MatrixCompletion

SAVABLE = ["mean", "same_gene", "quantile", "ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "auto",
           MatrixCompletion(), MLP(hidden=(8,), max_epochs=3)]  # fmt: skip


@pytest.fixture
def fitted(paired: ad.AnnData) -> tl.Translator:
    return tl.Translator(["ridge", "same_gene+kernel_ridge"], group_key="compound").fit(paired)


def test_genes_are_found_by_name(fitted: tl.Translator, paired: ad.AnnData) -> None:
    expected, overlap = fitted.predict(paired)
    assert overlap == 1
    extra = ad.AnnData(np.full((60, 4), 9.0, dtype=np.float32), obs=paired.obs, var={"n": range(4)})
    extra.var_names = [f"extra{i}" for i in range(4)]
    wide = ad.concat([extra, paired], axis=1)
    wide = wide[:, np.random.default_rng(0).permutation(wide.n_vars)].copy()
    np.testing.assert_allclose(fitted.predict(wide)[0], expected, atol=1e-5)


def test_missing_genes_are_reported_and_count_as_their_mean(fitted: tl.Translator, paired: ad.AnnData) -> None:
    kept = paired.var_names[6:]  # 24 of 30
    part = paired[:, kept].copy()
    fitted.translate(part)
    assert part.uns["translate"]["overlap"] == pytest.approx(0.8)
    filled = paired.copy()
    filled.X[:, :6] = paired.X[:48, :6].mean(axis=0)
    np.testing.assert_allclose(part.obsm["X_translated"], fitted.predict(filled)[0], atol=1e-4)
    with pytest.raises(ValueError, match=r"14 of 30 genes.*50%"):
        fitted.predict(paired[:, :14].copy())


def test_rows_are_independent(fitted: tl.Translator, paired: ad.AnnData) -> None:
    """Block borders, row order and company of other rows must not change a row's translation."""
    expected, _ = fitted.predict(paired)
    many = ad.concat([paired] * 40, index_unique="-")[::-1].copy()
    np.testing.assert_allclose(fitted.predict(many)[0], np.tile(expected, (40, 1))[::-1], atol=1e-5)


@pytest.mark.parametrize("method", SAVABLE)
def test_save_and_load(paired: ad.AnnData, method: object, tmp_path: Path) -> None:
    translator = tl.Translator(method, group_key="compound", tissue_key="tissue").fit(paired)
    translator.save(tmp_path / "model")
    loaded = tl.Translator.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(paired)[0], translator.predict(paired)[0])
    a, b = loaded.report(), translator.report()
    assert a.keys() == b.keys()
    np.testing.assert_array_equal(a["half_width"], b["half_width"])
    assert list(a["scores"]["method"]) == list(b["scores"]["method"])
    assert (a["method"], a["split"], a["coverage"]) == (b["method"], b["split"], b["coverage"])


@pytest.mark.parametrize("method", ["random_forest", LinearRegression()])
def test_pickles_are_not_saved(paired: ad.AnnData, method: object, tmp_path: Path) -> None:
    translator = tl.Translator(method).fit(paired)
    with pytest.raises(ValueError, match="cannot be saved: only a pickle could hold it"):
        translator.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def _truncate(directory: Path) -> None:
    path = directory / "translator.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def _flip(directory: Path) -> None:
    path = directory / "translator.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _other_version(directory: Path) -> None:
    path = directory / "translator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(_truncate, "is damaged: its checksum differs", id="truncated"),
        pytest.param(_flip, "is damaged: its checksum differs", id="one bit"),
        pytest.param(_other_version, "saved in format 99", id="version"),
        pytest.param(lambda d: (d / "translator.json").write_text("{"), "damaged or not a saved", id="no JSON"),
        pytest.param(lambda d: (d / "translator.json").write_text("[]"), "damaged or not a saved", id="foreign JSON"),
        pytest.param(lambda d: (d / "translator.safetensors").unlink(), "is not a saved translator", id="file missing"),
    ],
)
def test_damaged_files(fitted: tl.Translator, damage: object, message: str, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        tl.Translator.load(tmp_path)


def test_not_fitted() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        tl.Translator().report()


def test_scores_are_sorted(fitted: tl.Translator) -> None:
    scores = fitted.scores()
    assert scores["skill"].is_monotonic_decreasing
    assert set(scores["method"]) == {"ridge", "same_gene+kernel_ridge", "stack", "mean", "same_gene"}
