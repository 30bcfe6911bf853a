from __future__ import annotations

import re
from pathlib import Path

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

import scgx
from scgx import pp, tl

RIDGE = Ridge(alpha=10.0)


def _as(adata: ad.AnnData, kind: str, path: Path) -> ad.AnnData:
    out = adata.copy()
    if kind == "view":
        padded = ad.concat([adata, adata[:3].copy()], uns_merge="same")
        padded.obs_names = [*adata.obs_names, "x0", "x1", "x2"]
        return padded[adata.obs_names]
    if kind.startswith("backed"):
        if kind == "backed_csr":
            out.X = sparse.csr_matrix(out.X)
        out.write_h5ad(path / "backed.h5ad")
        return ad.read_h5ad(path / "backed.h5ad", backed="r+")
    forms = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "csr_array": sparse.csr_array, "ndarray": np.asarray}
    out.X = forms[kind](out.X)
    return out


def test_writes_what_it_says(paired: ad.AnnData, target: ad.AnnData) -> None:
    before = paired.copy()
    assert tl.translate(paired, method=["mean", "ridge"], group_key="compound") is None
    assert paired.obsm["X_translated"].dtype == np.float32
    assert paired.obsm["X_translated"].shape == (60, 20)
    layer = paired.layers["translated"]
    shared = [f"g{i}" for i in range(5)]
    columns = paired.var_names.get_indexer(shared)
    np.testing.assert_array_equal(layer[:, columns], paired.obsm["X_translated"][:, :5])
    assert np.isnan(np.delete(layer, columns, axis=1)).all()
    report = paired.uns["translate"]
    assert list(report["target_genes"]) == list(target.var_names)
    assert report["split"] == "grouped by compound"
    assert report["half_width"].shape == (20,)
    assert set(report["scores"]["method"]) == {"mean", "same_gene", "ridge", "stack"}
    assert (report["n_measured"], report["n_source_genes"], report["n_shared_genes"]) == (48, 30, 5)
    assert set(paired.uns) - set(before.uns) == {"translate"}
    assert set(paired.obsm) - set(before.obsm) == {"X_translated"}
    np.testing.assert_array_equal(paired.X, before.X)
    pd.testing.assert_frame_equal(paired.obs, before.obs)


def test_fitted_rows_hold_out_of_fold_predictions(paired: ad.AnnData) -> None:
    tl.translate(paired, method=RIDGE, group_key="compound", seed=3)
    rows = np.isfinite(paired.obsm["target"]).all(axis=1)
    order = np.argsort(paired.var_names.to_numpy(dtype=str))
    X, Y, groups = paired.X[rows][:, order], paired.obsm["target"][rows], paired.obs["compound"][rows]
    expected = np.empty_like(Y)
    for train, test in GroupKFold(5, shuffle=True, random_state=3).split(X, groups=groups):
        expected[test] = Ridge(alpha=10.0).fit(X[train], Y[train]).predict(X[test])
    np.testing.assert_allclose(paired.obsm["X_translated"][rows], expected, atol=1e-4)
    whole = Ridge(alpha=10.0).fit(X, Y).predict(paired.X[~rows][:, order])
    np.testing.assert_allclose(paired.obsm["X_translated"][~rows], whole, atol=1e-4)
    skill = 1 - ((Y - expected) ** 2).sum() / ((Y - _fold_means(X, Y, groups)) ** 2).sum()
    scores = pd.DataFrame(paired.uns["translate"]["scores"]).set_index("method")
    assert scores.loc["Ridge", "skill"] == pytest.approx(skill, abs=1e-4)
    assert scores.loc["mean", "skill"] == pytest.approx(0, abs=1e-6)


def _fold_means(X: np.ndarray, Y: np.ndarray, groups: pd.Series) -> np.ndarray:
    means = np.empty_like(Y)
    for train, test in GroupKFold(5, shuffle=True, random_state=3).split(X, groups=groups):
        means[test] = Y[train].mean(axis=0)
    return means


@pytest.mark.parametrize("kind", ["csr", "csc", "csr_array", "view", "backed_csr", "backed_dense"])
def test_storage_does_not_matter(paired: ad.AnnData, kind: str, tmp_path: Path) -> None:
    other = _as(paired, kind, tmp_path)
    tl.translate(paired, method="ridge", group_key="compound")
    if kind == "view":
        with pytest.warns(ad.ImplicitModificationWarning):
            tl.translate(other, method="ridge", group_key="compound")
    else:
        tl.translate(other, method="ridge", group_key="compound")
    np.testing.assert_allclose(other.obsm["X_translated"], paired.obsm["X_translated"], atol=1e-5)
    if kind.startswith("backed"):
        assert "translated" not in other.layers
        assert other.uns["translate"]["layer"] == "left out: adata is backed"
        other.file.close()


def test_gene_order_does_not_matter(paired: ad.AnnData) -> None:
    shuffled = paired[:, np.random.default_rng(0).permutation(paired.n_vars)].copy()
    for data in (paired, shuffled):
        tl.translate(data, method="same_gene+kernel_ridge", group_key="compound")
    np.testing.assert_allclose(shuffled.obsm["X_translated"], paired.obsm["X_translated"], atol=1e-5)


def test_genes_are_matched_by_gene_key_after_subsetting(source: ad.AnnData, target: ad.AnnData) -> None:
    """The registered identity must follow the genes when they are reordered after `add_target`."""
    source.var["symbol"] = source.var_names
    source.var_names = [f"probe{i}" for i in range(source.n_vars)]
    target.var["symbol"] = target.var_names
    pp.add_target(source, target, gene_key="symbol")
    turned = source[:, ::-1].copy()
    for data in (source, turned):
        tl.translate(data, method="same_gene", group_key="compound")
    np.testing.assert_allclose(turned.obsm["X_translated"], source.obsm["X_translated"], atol=1e-5)
    probe = source.var_names[source.var["symbol"] == "g2"]
    layer = turned[:, probe].layers["translated"][:, 0]
    np.testing.assert_allclose(layer, source.obsm["X_translated"][:, 2], atol=1e-5)


def test_key_added_and_second_call_replaces_everything(paired: ad.AnnData, target: ad.AnnData) -> None:
    tl.translate(paired, method="ridge", key_added="first")
    assert {"X_first"} <= set(paired.obsm)
    assert "first" in paired.uns
    assert "first" in paired.layers
    alone = target[:, 5:].copy()  # no gene shared: no layer
    pp.add_target(paired, alone)
    tl.translate(paired, method="ridge", key_added="first")
    assert paired.obsm["X_first"].shape == (60, 15)
    assert "first" not in paired.layers
    assert paired.uns["first"]["layer"] == "left out: the panels share no gene"


def test_copy_leaves_the_input_alone(paired: ad.AnnData) -> None:
    result = tl.translate(paired, method="mean", copy=True)
    assert "X_translated" in result.obsm
    assert "X_translated" not in paired.obsm
    assert "translate" not in paired.uns


@pytest.mark.filterwarnings("ignore::UserWarning:mudata", "ignore::FutureWarning:mudata")
def test_mudata_result_goes_to_the_source(source: ad.AnnData, target: ad.AnnData, paired: ad.AnnData) -> None:
    mdata = pp.pair(source, target)
    tl.translate(mdata, method="ridge", group_key="compound")
    tl.translate(paired, method="ridge", group_key="compound")
    assert "X_translated" not in mdata.mod["target"].obsm
    np.testing.assert_allclose(mdata.mod["source"].obsm["X_translated"], paired.obsm["X_translated"][:48], atol=1e-5)


def test_survives_h5ad(paired: ad.AnnData, tmp_path: Path) -> None:
    tl.translate(paired, method=["mean", "ridge"], group_key="compound", tissue_key="tissue")
    paired.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(scgx.get.translated(again).to_df(), scgx.get.translated(paired).to_df())
    assert again.uns["translate"]["weights"] == paired.uns["translate"]["weights"]


@pytest.mark.usefixtures("unchanged_rng")
def test_global_random_state_is_left_alone(paired: ad.AnnData) -> None:
    tl.translate(paired, method=["ridge", "pls", "random_forest"])


def test_interval_per_tissue(paired: ad.AnnData) -> None:
    paired.obsm["target"][paired.obs["tissue"] == "KI"] *= 10  # a tissue with ten times the error
    tl.translate(paired, method="mean", tissue_key="tissue")
    report = paired.uns["translate"]
    assert list(report["tissues"]) == ["KI", "LI"]
    wide, narrow = report["tissue_half_width"].mean(axis=1)
    assert wide > 4 * narrow
    paired.obs.loc["s59", "tissue"] = "BR"  # not seen: the width over all tissues
    widths = scgx.get.translated(paired).layers["half_width"]
    for row, expected in (("s0", report["tissue_half_width"][0]), ("s59", report["half_width"])):
        np.testing.assert_array_equal(widths[paired.obs_names.get_loc(row)], expected)
    assert 0.8 < report["coverage"] <= 1


def test_extra_rows_do_not_change_the_fit(paired: ad.AnnData) -> None:
    tl.translate(paired, method="ridge", group_key="compound")
    measured = paired[:48].copy()
    tl.translate(measured, method="ridge", group_key="compound")
    np.testing.assert_allclose(measured.obsm["X_translated"], paired.obsm["X_translated"][:48], atol=1e-6)


def _nan_row(a: ad.AnnData) -> None:
    a.X[3] = np.nan


def _inf(a: ad.AnnData) -> None:
    a.X[3, 4] = np.inf


def _duplicate(a: ad.AnnData) -> None:
    a.var_names = ["g1", *a.var_names[1:]]


def _one_group(a: ad.AnnData) -> None:
    a.obs["compound"] = "only"


def _constant(a: ad.AnnData) -> None:
    a.X[:] = 1


def _unmeasured(a: ad.AnnData) -> None:
    a.obsm["target"][2:] = np.nan


def _missing_group(a: ad.AnnData) -> None:
    a.obs.loc["s2", "compound"] = None


def _wrong_width(a: ad.AnnData) -> None:
    a.obsm["target"] = a.obsm["target"][:, :3]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        pytest.param(_nan_row, ValueError, "1 rows of the source data hold only NaN.*row 3", id="NaN row"),
        pytest.param(_inf, ValueError, "1 infinite values, the first at .* \\(3, ", id="inf"),
        pytest.param(_duplicate, ValueError, "var_names.*g1", id="duplicate names"),
        pytest.param(_one_group, ValueError, "one group only \\('only'\\)", id="one group"),
        pytest.param(_constant, ValueError, "no source gene varies", id="constant genes"),
        pytest.param(_unmeasured, ValueError, "only 2 of 60 rows have a measured target", id="no target"),
        pytest.param(_missing_group, ValueError, "`group_key`: .* 1 missing or empty values", id="missing group"),
        pytest.param(_wrong_width, ValueError, "register the target again", id="target of another shape"),
    ],
)
def test_bad_input(paired: ad.AnnData, spoil: object, error: type[Exception], message: str) -> None:
    spoil(paired)  # type: ignore[operator]
    before = set(paired.obsm), set(paired.uns), set(paired.layers)
    with pytest.raises(error, match=message):
        tl.translate(paired, method="ridge", group_key="compound")
    assert (set(paired.obsm), set(paired.uns), set(paired.layers)) == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param({"target_key": "targt"}, KeyError, "targt.*target", id="target key"),
        pytest.param({"group_key": "compond"}, KeyError, "compond.*compound", id="group key"),
        pytest.param({"tissue_key": "tisue"}, KeyError, "tisue.*tissue", id="tissue key"),
        pytest.param({"layer": "counts"}, KeyError, "counts", id="layer"),
        pytest.param({"method": "rigde"}, ValueError, "'rigde'", id="method"),
        pytest.param({"method": []}, ValueError, "different names", id="no method"),
        pytest.param({"method": 3}, TypeError, "found 3", id="method type"),
        pytest.param({"interval": 90}, ValueError, "between 0 and 1", id="interval"),
    ],
)
def test_bad_argument(paired: ad.AnnData, arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tl.translate(paired, **{"method": "ridge", **arguments})


def test_method_that_needs_shared_genes(source: ad.AnnData, target: ad.AnnData) -> None:
    pp.add_target(source, target[:, 5:].copy())
    with pytest.raises(ValueError, match="needs genes that both panels measure"):
        tl.translate(source, method="same_gene")
    tl.translate(source, method=["mean", "ridge"])
    assert "same_gene" not in source.uns["translate"]["scores"]["method"]


def test_model_excludes_method(paired: ad.AnnData) -> None:
    translator = tl.Translator("mean").fit(paired)
    with pytest.raises(ValueError, match="give one of them"):
        tl.translate(paired, model=translator, method="ridge")


def test_empty_and_foreign_data() -> None:
    with pytest.raises(ValueError, match=re.escape("0 rows × 3 genes")):
        tl.translate(ad.AnnData(np.zeros((0, 3))))
    with pytest.raises(TypeError, match="found DataFrame"):
        tl.translate(pd.DataFrame())


@pytest.mark.filterwarnings("ignore::UserWarning:mudata", "ignore::FutureWarning:mudata")
def test_reordered_mudata(source: ad.AnnData, target: ad.AnnData) -> None:
    mdata = md.MuData({"source": source[:48].copy(), "target": target[::-1].copy()})
    with pytest.raises(ValueError, match="another order"):
        tl.translate(mdata, method="ridge")
