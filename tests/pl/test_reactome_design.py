from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import scgx

NOTHING, PREDICTED, MEASURED = 0, 1, 2


def table(cells: list[str]) -> dict[str, np.ndarray]:
    drug, organ = zip(*(cell.split("|") for cell in cells), strict=True)
    return {"drug": np.array(drug), "organ": np.array(organ)}


@pytest.fixture
def adata() -> ad.AnnData:
    """b|liver was measured at two times, a|heart is listed without a value."""
    adata = ad.AnnData(np.zeros((1, 3), dtype=np.float32))
    adata.varm["reactome"] = np.array([[1, np.nan, 1, np.nan], [1, np.nan, 1, 1], [1, np.nan, 1, 1]], dtype=np.float32)
    conditions = table(["b|liver", "a|heart", "a|liver", "b|liver"])
    adata.uns["reactome"] = {"conditions": conditions | {"time": np.array([1, 1, 1, 3])}}
    return adata


def states(ax: Axes) -> pd.DataFrame:
    (mesh,) = ax.collections
    organs = [label.get_text() for label in ax.get_yticklabels()]
    drugs = [label.get_text() for label in ax.get_xticklabels()]
    return pd.DataFrame(np.asarray(mesh.get_array()).reshape(len(organs), len(drugs)), index=organs, columns=drugs)


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_cells_without_a_value_are_not_measured(adata: ad.AnnData) -> None:
    ax = scgx.pl.reactome_design(adata)
    expected = pd.DataFrame({"a": [NOTHING, MEASURED], "b": [NOTHING, MEASURED]}, index=["heart", "liver"])
    pd.testing.assert_frame_equal(states(ax), expected, check_dtype=False)
    assert legend(ax) == ["not measured", "measured"]


def test_predictions_do_not_hide_what_was_measured_and_new_drugs_come_last(adata: ad.AnnData) -> None:
    adata.uns["reactome_predicted"] = {"conditions": table(["Aspirin|liver", "a|liver", "b|heart"])}
    ax = scgx.pl.reactome_design(adata)
    expected = pd.DataFrame(
        {"a": [NOTHING, MEASURED], "b": [PREDICTED, MEASURED], "Aspirin": [NOTHING, PREDICTED]},
        index=["heart", "liver"],
    )
    pd.testing.assert_frame_equal(states(ax), expected, check_dtype=False)
    assert "predicted" in legend(ax)


def test_suggested_cells_hold_their_place(adata: ad.AnnData) -> None:
    adata.uns["mine"] = {"conditions": table(["b|heart", "a|heart", "b|heart", "c|liver"])}
    _, axes = plt.subplots()
    ax = scgx.pl.reactome_design(adata, suggested_key="mine", ax=axes)
    assert ax is axes
    grid = states(ax)
    found = {}
    for text in ax.texts:
        x, y = text.get_position()
        found[text.get_text()] = f"{grid.columns[int(x)]}|{grid.index[int(y)]}"
    assert found == {"1": "b|heart", "2": "a|heart", "4": "c|liver"}  # the third is the first at another dose
    assert grid.loc["heart", "b"] == NOTHING


def test_what_the_verbs_write_is_read() -> None:
    simulated = scgx.datasets.simulate_reactome(n_genes=20, n_organs=2, n_drugs=6, n_replicates=1)
    query = simulated.query[
        ~((simulated.query.obs["drug"] == "drug0001") & (simulated.query.obs["organ"] == "organ01"))
    ]
    query = query.copy()
    scgx.pp.reactome(query, drug_key="drug", organ_key="organ", control="control", input_scale="log2")
    scgx.tl.suggest_experiments(query, n=1)
    ax = scgx.pl.reactome_design(query)
    grid = states(ax)
    assert grid.loc["organ01", "drug0001"] == NOTHING
    assert (grid == MEASURED).sum().sum() == 11
    assert [text.get_text() for text in ax.texts] == ["1"]


def test_errors_name_the_key(adata: ad.AnnData) -> None:
    with pytest.raises(KeyError, match="predicted_key='gp'"):
        scgx.pl.reactome_design(adata, predicted_key="gp")
    with pytest.raises(KeyError, match="no reactome under 'other'"):
        scgx.pl.reactome_design(adata, reactome_key="other")
    del adata.uns["reactome"]["conditions"]["drug"]
    with pytest.raises(KeyError, match="'drug'"):
        scgx.pl.reactome_design(adata)
    assert not plt.get_fignums()
