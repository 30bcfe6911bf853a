"""Suggested experiments through AnnData."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgx
from scgx.selection import STRATEGIES

MakeReactome = Callable[..., tuple[ad.AnnData, np.ndarray]]


def test_suggestions_are_unmeasured_cells_and_gain_grows(make_reactome: MakeReactome, tmp_path: Path) -> None:
    adata, _ = make_reactome()
    scgx.tl.suggest_experiments(adata, n=4, design_keys="vehicle")
    record = adata.uns["suggested_experiments"]
    table = pd.DataFrame(adata.uns["reactome"]["conditions"])[:-10]
    seen = set(zip(table["drug"], table["organ"], strict=True))
    chosen = list(zip(record["conditions"]["drug"], record["conditions"]["organ"], strict=True))
    assert len(set(chosen)) == 4
    assert not seen & set(chosen)
    assert (np.diff([0, *record["gain"]]) > 0).all()
    assert record["strategy"] == "a_optimal"
    adata.write_h5ad(tmp_path / "x.h5ad")


def test_a_optimal_is_no_worse_than_any_other_strategy_for_one_choice(make_reactome: MakeReactome) -> None:
    adata, _ = make_reactome()
    target = pd.DataFrame({"drug": ["drug26", "drug26"], "organ": ["kidney", "heart"]})
    gain = {}
    for strategy in STRATEGIES:
        scgx.tl.suggest_experiments(adata, n=1, target=target, strategy=strategy)
        gain[strategy] = adata.uns["suggested_experiments"]["gain"][0]
    assert gain["a_optimal"] == max(gain.values())
    assert gain["a_optimal"] > adata.uns["suggested_experiments"]["random_gain"]


def test_a_new_drug_with_structure_can_be_a_candidate_that_informs_about_its_family(
    make_reactome: MakeReactome,
) -> None:
    adata, _ = make_reactome()
    candidates = pd.DataFrame(
        {"drug": ["other", "relative"], "organ": "liver", "smiles": ["ClC(Cl)(Cl)Br", "CCCCCCCCC(=O)O"]}
    )
    target = pd.DataFrame({"drug": ["asked"], "organ": ["liver"], "smiles": ["CCCCCCCCCC(=O)O"]})
    scgx.tl.suggest_experiments(adata, n=2, candidates=candidates, target=target)
    assert adata.uns["suggested_experiments"]["conditions"]["drug"].tolist() == ["relative", "other"]


def test_where_nothing_is_gained_the_note_says_so(make_reactome: MakeReactome) -> None:
    adata, _ = make_reactome()
    rng = np.random.default_rng(0)
    adata.varm["reactome"] = rng.normal(size=adata.varm["reactome"].shape).astype(np.float32)
    adata.varm["reactome"][:, -10:] = np.nan
    scgx.tl.suggest_experiments(adata, n=2)
    assert "practically no difference" in adata.uns["suggested_experiments"]["note"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"n": 0}, "`n` must be between 1 and the 10 candidates; found 0", id="none"),
        pytest.param({"n": 11}, "found 11", id="too-many"),
        pytest.param({"strategy": "best"}, "`strategy` must be 'auto' or one of", id="strategy"),
        pytest.param({"target": pd.DataFrame({"drug": ["a"], "organ": ["moon"]})}, "organ 'moon', never", id="organ"),
    ],
)
def test_what_does_not_fit_is_said_and_nothing_written(make_reactome: MakeReactome, change: dict, message: str) -> None:
    adata: ad.AnnData = make_reactome()[0]
    with pytest.raises(ValueError, match=message):
        scgx.tl.suggest_experiments(adata, **({"n": 2} | change))
    assert "suggested_experiments" not in adata.uns
