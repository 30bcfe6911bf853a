from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scgx import pp


@pytest.fixture
def source() -> ad.AnnData:
    obs = pd.DataFrame({"animal": ["a", "a", "b", "c", None, "d"]}, index=[f"s{i}" for i in range(6)])
    var = pd.DataFrame({"symbol": ["Tp53", "Tp53", "", "Actb"]}, index=[f"p{i}" for i in range(4)])
    return ad.AnnData(np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), obs=obs, var=var)


@pytest.fixture
def target() -> ad.AnnData:
    obs = pd.DataFrame(
        {"animal": pd.Categorical(["d", "x", "a", None, "b"]), "platform": "RNA-seq"},
        index=["s5", "t1", "s0", "t3", "s2"],
    )
    var = pd.DataFrame({"symbol": ["Actb", np.nan, "Tp53"]}, index=["e0", "e1", "e2"])
    X = np.random.default_rng(1).poisson(1.0, (5, 3)).astype(np.float32)
    return ad.AnnData(X, obs=obs, var=var)


def test_rows_are_matched_by_name(source: ad.AnnData, target: ad.AnnData) -> None:
    assert pp.add_target(source, target) is None
    # joined by pandas
    expected = target.to_df().reindex(source.obs_names)
    np.testing.assert_array_equal(source.obsm["target"], expected)
    assert source.obsm["target"].dtype == np.float32
    record = source.uns["target"]
    assert list(record.pop("gene_names")) == ["e0", "e1", "e2"]
    assert record == {"platform": "RNA-seq", "n_matched": 3, "on": "obs_names"}


def test_several_rows_may_share_a_target_row_and_missing_matches_nothing(
    source: ad.AnnData, target: ad.AnnData
) -> None:
    pp.add_target(source, target, on="animal")
    left = source.obs.reset_index()
    right = target.to_df().assign(animal=target.obs["animal"].astype(object)).dropna()
    expected = left.merge(right, on="animal", how="left")[list(target.var_names)]
    np.testing.assert_array_equal(source.obsm["target"], expected)
    assert source.uns["target"]["n_matched"] == 4 and source.uns["target"]["on"] == "animal"


def test_array_types_agree_on_both_sides(source: ad.AnnData, target: ad.AnnData, hold: Callable) -> None:
    expected = pp.add_target(source, target, on="animal", copy=True).obsm["target"]
    held_target = pp.add_target(source, hold(target), on="animal", copy=True)
    np.testing.assert_array_equal(held_target.obsm["target"], expected)
    held_source = hold(source)
    if held_source.is_view:
        with pytest.warns(ad.ImplicitModificationWarning, match="view"):
            pp.add_target(held_source, target, on="animal")
    else:
        pp.add_target(held_source, target, on="animal")
    np.testing.assert_array_equal(held_source.obsm["target"], expected)


def test_the_order_of_target_rows_does_not_matter(source: ad.AnnData, target: ad.AnnData) -> None:
    expected = pp.add_target(source, target, on="animal", copy=True).obsm["target"]
    turned = pp.add_target(source, target[::-1], on="animal", copy=True).obsm["target"]
    np.testing.assert_array_equal(turned, expected)


def test_more_rows_than_one_block() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"c{i}" for i in range(3000)])
    target = ad.AnnData(rng.normal(size=(3000, 2)).astype(np.float32), obs=pd.DataFrame(index=names))
    source = ad.AnnData(np.zeros((3000, 1)), obs=pd.DataFrame(index=rng.permutation(names)))
    pp.add_target(source, target[::2].copy())
    expected = target[::2].to_df().reindex(source.obs_names)
    np.testing.assert_array_equal(source.obsm["target"], expected)


def test_gene_identity_of_probes(source: ad.AnnData, target: ad.AnnData) -> None:
    pp.add_target(source, target, gene_key="symbol")
    assert source.uns["target"]["gene_key"] == "symbol"
    assert list(source.uns["target"]["target_genes"]) == ["Actb", "", "Tp53"]


@pytest.mark.parametrize(
    ("uns", "obs", "platform"),
    [
        pytest.param("Agilent", "RNA-seq", "Agilent", id="uns first"),
        pytest.param(None, ["A", "B", "A", "B", "A"], "", id="not constant"),
        pytest.param(None, ["A", None, "A", "A", "A"], "A", id="constant where known"),
        pytest.param({"id": 1}, "RNA-seq", "RNA-seq", id="uns holds something else"),
    ],
)
def test_platform(source: ad.AnnData, target: ad.AnnData, uns: object, obs: object, platform: str) -> None:
    target.obs["platform"] = obs
    if uns is not None:
        target.uns["platform"] = uns
    pp.add_target(source, target)
    assert source.uns["target"]["platform"] == platform


def test_layer_and_missing_values(source: ad.AnnData, target: ad.AnnData) -> None:
    target.layers["z"] = np.full(target.shape, 7.0)
    target.layers["z"][0, 1] = np.nan
    pp.add_target(source, target, layer="z")
    np.testing.assert_array_equal(source.obsm["target"][[0, 5]], [[7, 7, 7], [7, np.nan, 7]])


def test_second_call_replaces_the_whole_record(source: ad.AnnData, target: ad.AnnData) -> None:
    pp.add_target(source, target, gene_key="symbol")
    pp.add_target(source, target[:, :2].copy())
    assert source.obsm["target"].shape == (6, 2)
    assert "gene_key" not in source.uns["target"]


def test_survives_h5ad(source: ad.AnnData, target: ad.AnnData, tmp_path: Path) -> None:
    pp.add_target(source, target, gene_key="symbol", key_added="rna")
    source.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(back.obsm["rna"], source.obsm["rna"])
    assert back.uns["rna"].keys() == source.uns["rna"].keys()
    for key, value in source.uns["rna"].items():
        np.testing.assert_array_equal(back.uns["rna"][key], value)


def test_copy_leaves_the_input_alone(source: ad.AnnData, target: ad.AnnData) -> None:
    result = pp.add_target(source, target, copy=True)
    assert "target" in result.obsm and not source.obsm and not source.uns


def _rename(adata: ad.AnnData, axis: str) -> None:
    names = list(getattr(adata, f"{axis}_names"))
    setattr(adata, f"{axis}_names", [names[1], *names[1:]])


def _put(adata: ad.AnnData, column: str, values: list) -> None:
    adata.var[column] = values


@pytest.mark.filterwarnings("ignore:.* names are not unique")
@pytest.mark.parametrize(
    ("change", "call", "error", "message"),
    [
        pytest.param(
            lambda s, t: _rename(s, "var"), {}, ValueError, r"adata\.var_names must be unique.*'p1'", id="var"
        ),
        pytest.param(lambda s, t: _rename(t, "var"), {}, ValueError, r"target\.var_names must be", id="target var"),
        pytest.param(lambda s, t: _rename(s, "obs"), {}, ValueError, r"adata\.obs_names must be", id="obs"),
        pytest.param(lambda s, t: _rename(t, "obs"), {}, ValueError, r"target\.obs_names must be", id="target obs"),
        pytest.param(lambda s, t: None, {"on": "Animal"}, KeyError, r"on='Animal' .*adata\.obs; .*'animal'", id="on"),
        pytest.param(
            lambda s, t: t.obs.pop("animal"), {"on": "animal"}, KeyError, r"not in target\.obs", id="target on"
        ),
        pytest.param(
            lambda s, t: t.obs.__setitem__("animal", ["a", "b", "b", "a", "b"]),
            {"on": "animal"},
            ValueError,
            r"several rows for 2 values of \.obs\['animal'\]: 'b', 'a'; .*sc\.get\.aggregate",
            id="target rows repeat",
        ),
        pytest.param(
            lambda s, t: setattr(t, "obs_names", list("vwxyz")),
            {},
            ValueError,
            r"no row of adata .*'s0', 's1', 's2', … *, target has 'v', 'w', 'x'",
            id="no row",
        ),
        pytest.param(
            lambda s, t: t.obs.__setitem__("animal", [1, 2, 3, 4, 5]), {"on": "animal"}, ValueError, "no row", id="type"
        ),
        pytest.param(lambda s, t: None, {"gene_key": "gene"}, KeyError, r"gene_key='gene' .*adata\.var", id="gene_key"),
        pytest.param(
            lambda s, t: _put(t, "symbol", ["ENSG1", "ENSG2", ""]),
            {"gene_key": "symbol"},
            ValueError,
            r"names no gene that adata and target share: adata has 'Tp53'.*'ENSG1'",
            id="no gene",
        ),
        pytest.param(
            lambda s, t: t.X.__setitem__((2, 1), np.inf),
            {},
            ValueError,
            r"target\.X has 1 infinite .*\(2, 1\)",
            id="inf",
        ),
        pytest.param(lambda s, t: t.X.fill(np.nan), {}, ValueError, "nothing but NaN", id="nan"),
        pytest.param(lambda s, t: None, {"layer": "z"}, KeyError, r"layer='z' is not in", id="layer"),
    ],
)
def test_bad_input_is_named_and_nothing_changes(
    source: ad.AnnData, target: ad.AnnData, change: Callable, call: dict, error: type[Exception], message: str
) -> None:
    change(source, target)
    with pytest.raises(error, match=message):
        pp.add_target(source, target, **call)
    assert not source.obsm and not source.uns


def test_a_view_of_a_backed_object_cannot_be_written(source: ad.AnnData, target: ad.AnnData, tmp_path: Path) -> None:
    source.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    with pytest.raises(ValueError, match="view of a backed AnnData"):
        pp.add_target(backed[:3], target)
