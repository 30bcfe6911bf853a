"""Prediction of unmeasured conditions through AnnData."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgx

MakeReactome = Callable[..., tuple[ad.AnnData, np.ndarray]]


def asked() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "drug": ["drug28", "drug29", "new"],
            "organ": ["heart", "liver", "kidney"],
            "vehicle": ["oil", "water", "oil"],
            "smiles": ["", "", "CCCCCCN"],
        }
    )


def test_new_cells_and_new_drugs_are_predicted_beyond_the_design_mean(
    make_reactome: MakeReactome, tmp_path: Path
) -> None:
    adata, truth = make_reactome()
    scgx.tl.predict_reactome(
        adata, conditions=asked(), method=["design_mean", "gaussian_process"], design_keys="vehicle"
    )
    record, predicted = adata.uns["reactome_predicted"], adata.varm["reactome_predicted"]
    assert predicted.shape == (40, 3)
    assert predicted.dtype == np.float32
    # drug28 (fourth family, all its cells missing but known by its SMILES) in the heart
    assert np.corrcoef(predicted[:, 0], truth[28 * 3 + 2])[0, 1] > 0.8
    for scores in record["scores"].values():
        table = pd.DataFrame(scores).set_index("method")
        baselines = {"no_change", "design_mean", "organ_mean", "drug_mean", "additive"}
        assert {*baselines, "gaussian_process", "stack"} == set(table.index)
        assert table.loc["gaussian_process", "squared_error"] < table.loc["design_mean", "squared_error"]
        assert table.loc["design_mean", "cosine_centred"] == 0
    adata.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "x.h5ad").varm["reactome_predicted"], predicted)


def test_additive_truth_is_found(make_reactome: MakeReactome) -> None:
    adata, _ = make_reactome("additive")
    scgx.tl.predict_reactome(
        adata, conditions=asked(), method=["design_mean", "organ_mean", "drug_mean", "additive"], design_keys="vehicle"
    )
    scores = pd.DataFrame(adata.uns["reactome_predicted"]["scores"]["cells"]).set_index("method")["squared_error"]
    assert scores.drop("stack").idxmin() == "additive"
    assert scores["no_change"] > scores["additive"]


def test_novelty_and_the_validation_that_speaks(make_reactome: MakeReactome) -> None:
    adata, _ = make_reactome()
    adata.varm["reactome"][:, 6] = np.nan  # drug2 is measured in two organs
    table = pd.concat([asked(), pd.DataFrame({"drug": ["drug2", "blank"], "organ": "liver", "vehicle": "oil"})])
    scgx.tl.predict_reactome(adata, conditions=table, method="design_mean", design_keys=["vehicle"])
    record = adata.uns["reactome_predicted"]
    assert record["held_out"].tolist() == ["drugs", "drugs", "drugs", "cells", "drugs"]
    np.testing.assert_array_equal(record["novelty"][[3]], 0)
    assert np.isnan(record["novelty"][4])
    assert 0 < record["novelty"][2] < 1
    assert not record["measured"].any()


def test_order_of_genes_does_not_matter(make_reactome: MakeReactome) -> None:
    adata, _ = make_reactome()
    genes = np.random.default_rng(0).permutation(40)
    shuffled = adata[:, genes].copy()
    for data in (adata, shuffled):
        scgx.tl.predict_reactome(data, conditions=asked(), method="gaussian_process")
    # sums in another order stop the optimiser of the weights a little elsewhere
    np.testing.assert_allclose(shuffled.varm["reactome_predicted"], adata.varm["reactome_predicted"][genes], atol=0.03)


def test_genes_with_gaps_are_left_out_and_l1_is_not_negative(make_reactome: MakeReactome) -> None:
    adata, _ = make_reactome()
    adata.uns["reactome"]["norm"] = "l1"
    adata.varm["reactome"] = np.abs(adata.varm["reactome"]) - 0.5
    adata.varm["reactome"][3, 0] = np.nan
    scgx.tl.predict_reactome(adata, conditions=asked(), method="additive")
    predicted = adata.varm["reactome_predicted"]
    assert np.isnan(predicted[3]).all()
    assert (np.delete(predicted, 3, axis=0) >= 0).all()
    assert np.isnan(adata.uns["reactome_predicted"]["half_width"]["cells"][3])


def test_interval_covers_new_measurements(make_reactome: MakeReactome) -> None:
    adata, truth = make_reactome("additive", n_drugs=60)
    table = pd.DataFrame({"drug": ["drug57"], "organ": ["heart"]})
    scgx.tl.predict_reactome(adata, conditions=table, method="design_mean", interval=0.8)
    width = adata.uns["reactome_predicted"]["half_width"]["drugs"]
    predicted = scgx.tl.predict_reactome(
        adata,
        conditions=pd.DataFrame(adata.uns["reactome"]["conditions"])[["drug", "organ"]],
        method="design_mean",
        copy=True,
    ).varm["reactome_predicted"]
    covered = np.abs(predicted.T[-10:] - truth[-10:]) <= width
    assert 0.7 < covered.mean() < 0.95


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(
            {"conditions": asked().assign(organ="brain")}, ValueError, "organ 'brain', never measured", id="organ"
        ),
        pytest.param({"conditions": asked().assign(vehicle="DMSO")}, ValueError, "vehicle 'DMSO', never", id="design"),
        pytest.param({"conditions": asked().drop(columns="vehicle")}, KeyError, "'vehicle'", id="design-column"),
        pytest.param({"conditions": asked().drop(columns="organ")}, KeyError, "'organ'", id="organ-column"),
        pytest.param({"design_keys": "dose"}, KeyError, "design_keys='dose'", id="design-key"),
        pytest.param(
            {"conditions": asked().assign(smiles=["", "", "C1CC("])}, ValueError, "'C1CC\\(' of drug 'new'", id="smiles"
        ),
        pytest.param(
            {"conditions": asked().assign(smiles=["C", "", ""])},
            ValueError,
            "'drug28' has several SMILES",
            id="two-smiles",
        ),
        pytest.param({"method": "transformer"}, ValueError, "`method` must be 'auto'", id="method"),
        pytest.param({"conditions": asked().iloc[:0]}, ValueError, "at least one row", id="empty"),
        pytest.param({"conditions": [("drug1", "liver")]}, TypeError, "must be a DataFrame", id="no-table"),
        pytest.param({"reactome_key": "none"}, KeyError, "pp.reactome", id="no-reactome"),
        pytest.param({"interval": 1.5}, ValueError, "`interval`", id="interval"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_written(
    make_reactome: MakeReactome, change: dict, error: type[Exception], message: str
) -> None:
    adata, _ = make_reactome()
    options = {"conditions": asked(), "method": "design_mean", "design_keys": "vehicle"} | change
    with pytest.raises(error, match=message):
        scgx.tl.predict_reactome(adata, **options)
    assert "reactome_predicted" not in adata.uns
    assert "reactome_predicted" not in adata.varm
