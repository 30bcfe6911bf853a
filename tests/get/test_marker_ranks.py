from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgx

SOURCE = ["a", "b1", "b2", "c", "other1", "other2"]
TARGET = ["B", "Havcr1", "C", "other3", "other4"]


@pytest.fixture
def adata() -> ad.AnnData:
    """Four rows whose fold changes are known; the translation is written by hand; row 3 was not measured."""
    X = np.array([[3, -1, 2, 0.5, 0.1, -5], [1, 0, 0.2, -4, 0.3, 2], [1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 2, 3]])
    obs = pd.DataFrame({"drug": ["x", "x", "y", "z"]}, index=["r0", "r1", "r2", "r3"])
    symbols = ["A", "B", "B", "C", "D", "E"]
    source = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame({"symbol": symbols}, index=SOURCE))
    Y = np.array([[0.5, 9, -3, 1, 2], [1, np.nan, 3, 2, 0.5], [1, 2, 3, 4, 5]], dtype=np.float32)
    target = ad.AnnData(Y, obs=obs[:3], var=pd.DataFrame({"symbol": TARGET}, index=[f"probe_{g}" for g in TARGET]))
    scgx.pp.add_target(source, target, gene_key="symbol")
    scgx.tl.translate(source, method="mean")
    source.obsm["X_translated"] = np.array([[1, 8, -9, 0, 2], [5, 4, 3, 2, 1], [1, 1, 7, 1, 1], [-1, 5, 2, 3, 4]])
    return source


def entry(frame: pd.DataFrame, profile: str, gene: str, panel: str) -> list[float]:
    row = frame[(frame["profile"] == profile) & (frame["gene"] == gene) & (frame["panel"] == panel)]
    return row[["log_fc", "rank", "rank_up", "n_genes"]].to_numpy().ravel().tolist()


def test_ranks_by_hand(adata: ad.AnnData) -> None:
    frame = scgx.get.marker_ranks(adata, ["C", "Havcr1", "B"])
    assert entry(frame, "r0", "C", "source") == [0.5, 5, 3, 6]
    assert entry(frame, "r0", "C", "translated") == [-9, 1, 5, 5]
    assert entry(frame, "r0", "C", "measured") == [-3, 2, 5, 5]
    # of two probes (-1 and 2) the better one; -5 and 3 lie before it
    assert entry(frame, "r0", "B", "source") == [2, 3, 2, 6]
    assert entry(frame, "r2", "B", "translated") == [1, 3.5, 3.5, 5]  # four ties


def test_genes_off_the_panel_gaps_and_rows_without_measurement(adata: ad.AnnData) -> None:
    frame = scgx.get.marker_ranks(adata, "Havcr1")
    np.testing.assert_equal(entry(frame, "r0", "Havcr1", "source"), [np.nan, np.nan, np.nan, 6])
    assert entry(frame, "r3", "Havcr1", "translated") == [5, 1, 1, 5]
    np.testing.assert_equal(entry(frame, "r1", "Havcr1", "measured"), [np.nan, np.nan, np.nan, 4])
    assert set(frame.loc[frame["profile"] == "r3", "panel"]) == {"source", "translated"}


def test_groups_are_ranked_by_their_mean_profile(adata: ad.AnnData) -> None:
    frame = scgx.get.marker_ranks(adata, {"first": ["A", "C"], "second": ["C"]}, groupby="drug")
    assert entry(frame[frame["set"] == "first"], "x", "A", "source") == [2, 1, 1, 6]
    # mean source of drug x: 2, -0.5, 1.1, -1.75, 0.2, -1.5
    assert entry(frame[frame["set"] == "second"], "x", "C", "source") == [-1.75, 2, 6, 6]
    assert sorted(frame["profile"].unique()) == ["x", "y", "z"]
    pd.testing.assert_series_equal(
        frame.loc[(frame["set"] == "first") & (frame["gene"] == "C"), "rank"].reset_index(drop=True),
        frame.loc[frame["set"] == "second", "rank"].reset_index(drop=True),
    )


def test_row_order_and_other_rows_do_not_matter(adata: ad.AnnData) -> None:
    expected = scgx.get.marker_ranks(adata, ["B", "C"])
    part = scgx.get.marker_ranks(adata[[2, 0]].copy(), ["B", "C"])
    columns = ["profile", "gene", "panel"]
    expected = expected[expected["profile"].isin(["r0", "r2"])].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(part.sort_values(columns, ignore_index=True), expected)


def test_without_a_registered_target_features_go_by_their_names(adata: ad.AnnData) -> None:
    del adata.obsm["target"]
    frame = scgx.get.marker_ranks(adata, ["b1", "probe_Havcr1"])
    assert set(frame["panel"]) == {"source", "translated"}
    assert entry(frame, "r0", "b1", "source") == [-1, 4, 5, 6]


def test_errors(adata: ad.AnnData) -> None:
    with pytest.raises(ValueError, match="none of 'Lcn2' is on either panel, whose genes are named like 'A', 'B', 'C'"):
        scgx.get.marker_ranks(adata, ["Lcn2"])
    with pytest.raises(KeyError, match="groupby='dru' is not in .obs; nearest: 'drug'"):
        scgx.get.marker_ranks(adata, ["B"], groupby="dru")
    adata.uns["target"] = adata.uns["target"] | {"gene_names": ["q"] * 5}
    with pytest.raises(ValueError, match="translate again"):
        scgx.get.marker_ranks(adata, ["B"])


def test_marker_genes_are_a_fresh_copy_of_different_genes() -> None:
    markers = scgx.datasets.marker_genes()
    for genes in markers.values():
        assert len(set(genes)) == len(genes) >= 10
    assert {"Havcr1", "Lcn2", "Clu", "Spp1"} <= set(markers["kidney injury"])
    assert {"Acot1", "Cyp4a1", "Ehhadh"} <= set(markers["PPAR alpha"])
    markers["PPAR alpha"].clear()
    assert scgx.datasets.marker_genes()["PPAR alpha"]
