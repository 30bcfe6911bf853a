from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import scgx


@pytest.fixture
def translated() -> tuple[ad.AnnData, ad.AnnData]:
    source, target, _ = scgx.datasets.pbmc_panels()
    scgx.pp.add_target(source, target)
    scgx.tl.translate(source, method="same_gene")
    return source, target


def test_translated_panel(translated: tuple[ad.AnnData, ad.AnnData]) -> None:
    source, target = translated
    result = scgx.get.translated(source)
    assert list(result.var_names) == list(target.var_names)
    np.testing.assert_array_equal(result.X, source.obsm["X_translated"])
    np.testing.assert_array_equal(result.var["half_width"], source.uns["translate"]["half_width"])
    pd.testing.assert_frame_equal(result.obs, source.obs)
    result.X[0, 0] = 99
    result.obs["bulk_labels"] = "changed"
    assert source.obsm["X_translated"][0, 0] != 99
    assert source.obs["bulk_labels"].nunique() > 1


def test_harmonized_keeps_measurements(translated: tuple[ad.AnnData, ad.AnnData]) -> None:
    source, target = translated
    source.obsm["target"][0, :2] = np.nan  # gaps within a measured row
    result = scgx.get.harmonized(source)
    measured = result.obs["origin"] == "measured"
    assert list(result.obs_names[measured]) == list(target.obs_names)
    expected = np.where(np.isnan(source.obsm["target"]), source.obsm["X_translated"], source.obsm["target"])
    np.testing.assert_array_equal(result.X, expected)
    assert not np.isnan(result.X).any()
    assert not result.layers["measured"][0, :2].any()


def test_scanpy_takes_the_result(translated: tuple[ad.AnnData, ad.AnnData]) -> None:
    """Cells group by type on the harmonised panel, not by whether they were measured."""
    result = scgx.get.harmonized(translated[0])
    sc.pp.pca(result, n_comps=10)
    assert set(sc.get.obs_df(result, ["CD3D", "origin"])) == {"CD3D", "origin"}


@pytest.mark.parametrize("function", [scgx.get.translated, scgx.get.harmonized])
def test_not_translated(function: object) -> None:
    with pytest.raises(KeyError, match="X_translated"):
        function(ad.AnnData(np.zeros((2, 2))))  # type: ignore[operator]


def test_target_registered_anew(translated: tuple[ad.AnnData, ad.AnnData]) -> None:
    source, target = translated
    scgx.pp.add_target(source, target[:, :10].copy())
    with pytest.raises(ValueError, match="translate again"):
        scgx.get.harmonized(source)
