from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scgx


@pytest.fixture
def species() -> tuple[AnnData, AnnData]:
    """Rat responds as the mouse at half size; a feature of genes tells what is the rat's own."""
    rng = np.random.default_rng(0)
    mouse, own = rng.normal(size=(3, 200)), rng.normal(size=200)
    obs = pd.DataFrame({"drug": ["a", "b", "c"]}, index=["x", "y", "z"])
    rat = AnnData(0.5 * mouse + 0.5 * own + 0.05 * rng.normal(size=mouse.shape), obs=obs)
    rat.varm["own"] = own[:, None]
    return rat, AnnData(mouse, obs=obs)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame[frame["group"] == ""]
    return rows.pivot_table(index="method", columns="metric", values="value")


@pytest.mark.parametrize("split", ["gene", "cell", "condition"])
def test_features_tell_what_is_special_to_the_query(species: tuple[AnnData, AnnData], split: str) -> None:
    methods = ["affine", "ridge"]
    frame = scgx.bm.transfer(*species, on=["drug"], features="own", methods=methods, split=split)
    scores = table(frame)
    assert scores.loc["ridge", "skill"] > 0.9 > scores.loc["affine", "skill"]
    assert scores.loc["ridge", "pearson_delta"] > 0.9
    assert scores.loc["copy", "pearson_delta"] == 0  # one species: the copy is the mean
    assert scores.loc["no_change", "skill"] == pytest.approx(0, abs=1e-6)
    assert scores.loc["auto", "skill"] > 0.9
    assert scores.loc["auto", "coverage"] == pytest.approx(0.9, abs=0.07)
    assert scgx.bm.compare(frame, "ridge", "copy").low > 0


def test_each_gene_is_scored_once_and_errors_add_up_to_the_skill(species: tuple[AnnData, AnnData]) -> None:
    query, reference = species
    frame = scgx.bm.transfer(query, reference, on=["drug"], methods=["affine"])
    errors = frame[(frame["method"] == "no_change") & (frame["metric"] == "squared_error")]
    assert sorted(errors["group"]) == sorted(query.var_names)
    assert errors["value"].sum() == pytest.approx((query.X**2).sum(), rel=1e-5)
    summary = scgx.bm.summary(frame).set_index("method")
    assert summary.loc["no_change", "skill"] == pytest.approx(0, abs=1e-12)


def test_genes_of_an_orthologue_group_are_held_out_together(species: tuple[AnnData, AnnData]) -> None:
    query, reference = species
    # genes in pairs: two query genes share a partner, so that one would give the other away
    merged = reference[:, ::2].copy()
    orthologs = pd.DataFrame({"rat": query.var_names, "mouse": np.repeat(merged.var_names, 2)})
    orthologs["mouse"] = "m" + orthologs["mouse"].astype(str)
    merged.var_names = "m" + merged.var_names.astype(str)
    frame = scgx.bm.transfer(query, merged, on=["drug"], methods=["affine"], orthologs=orthologs)
    errors = frame[(frame["method"] == "copy") & (frame["metric"] == "squared_error")].set_index("group")["fold"]
    assert (errors[query.var_names[::2]].to_numpy() == errors[query.var_names[1::2]].to_numpy()).all()


def test_a_shuffled_reference_gives_no_skill(species: tuple[AnnData, AnnData]) -> None:
    query, reference = species
    reference.X = reference.X[:, np.random.default_rng(1).permutation(200)]
    frame = scgx.bm.transfer(query, reference, on=["drug"], methods=["affine", "ridge"])
    assert abs(table(frame).loc["auto", "skill"]) < 0.05


def test_wrong_arguments_are_named(species: tuple[AnnData, AnnData]) -> None:
    with pytest.raises(ValueError, match="`split` must be 'gene', 'cell' or 'condition'; found 'genes'"):
        scgx.bm.transfer(*species, on=["drug"], split="genes")
    with pytest.raises(ValueError, match="nearest: 'boosting'"):
        scgx.bm.transfer(*species, on=["drug"], methods=["bosting"])
    with pytest.raises(ValueError, match="`interval`"):
        scgx.bm.transfer(*species, on=["drug"], interval=0)
    with pytest.raises(ValueError, match=r"`split='condition'` gives 1 fold"):
        scgx.bm.transfer(species[0][:1].copy(), species[1], on=["drug"], split="condition")
