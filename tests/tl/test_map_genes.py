from __future__ import annotations

import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scgx

N, P = 120, 15


def species(values: np.ndarray, prefix: str, organs: list[str] | None = None) -> ad.AnnData:
    var = pd.DataFrame(index=[f"{prefix}{i}" for i in range(len(values))])
    adata = ad.AnnData(np.zeros((1, len(values)), dtype=np.float32), var=var)
    adata.varm["reactome"] = values.astype(np.float32)
    adata.uns["reactome"] = {"conditions": {"organ": np.array(organs or [f"o{i}" for i in range(values.shape[1])])}}
    return adata


@pytest.fixture
def mouse_rat() -> tuple[ad.AnnData, ad.AnnData]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(N, P))
    return tuple(species(truth + 0.4 * rng.normal(size=truth.shape), prefix) for prefix in ("m", "r"))


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"mouse": [f"m{i}" for i in range(N)], "rat": [f"r{i}" for i in range(N)]})


def partners(adata: ad.AnnData) -> pd.Series:
    return scgx.get.gene_map(adata).groupby("query_gene")["reference_gene"].first()


@pytest.mark.parametrize("method", ["reactome", "cca", "transport"])
def test_partners_are_found_whatever_the_order_of_genes_and_conditions(method, mouse_rat, table) -> None:
    mouse, rat = mouse_rat
    kwargs = {"method": method, "orthologs": table if method == "cca" else None, "n_permutations": 0}
    scgx.tl.map_genes(mouse, rat, **kwargs)
    found = partners(mouse)
    assert np.mean(found.index.str[1:] == found.str[1:]) > 0.9

    rng = np.random.default_rng(1)
    genes, conditions = rng.permutation(N), rng.permutation(P)
    moved = species(rat.varm["reactome"][genes][:, conditions], "r", [f"o{i}" for i in conditions])
    moved.var_names = rat.var_names[genes]
    again = mouse[:, rng.permutation(N)].copy()
    scgx.tl.map_genes(again, moved, **kwargs)
    if method == "cca":  # its conditions need not be the same, and which anchors are held out follows the order
        assert (partners(again)[found.index] == found).mean() > 0.95
    else:
        pd.testing.assert_series_equal(partners(again)[found.index], found)


def test_rows_are_shares_of_at_most_k_partners_and_survive_h5ad(mouse_rat, table, tmp_path: Path) -> None:
    mouse, rat = mouse_rat
    scgx.tl.map_genes(mouse, rat, method="auto", orthologs=table, k=3, n_permutations=3)
    mouse.write_h5ad(tmp_path / "m.h5ad")
    weights = ad.read_h5ad(tmp_path / "m.h5ad").varm["gene_map"]
    assert sparse.issparse(weights)
    assert weights.shape == (N, N)
    assert np.diff(weights.indptr).max() <= 3
    np.testing.assert_allclose(np.asarray(weights.sum(axis=1)).ravel(), 1, rtol=1e-5)


def test_get_gene_map_lists_the_matrix(mouse_rat) -> None:
    mouse, rat = mouse_rat
    scgx.tl.map_genes(mouse, rat, k=4, n_permutations=2)
    frame = scgx.get.gene_map(mouse)
    dense = mouse.varm["gene_map"].toarray()
    at = mouse.var_names.get_indexer(frame["query_gene"]), rat.var_names.get_indexer(frame["reference_gene"])
    np.testing.assert_array_equal(dense[at], frame["weight"])
    assert len(frame) == np.count_nonzero(dense)
    assert (np.diff(at[0]) >= 0).all()
    assert frame.groupby("query_gene")["weight"].apply(lambda w: w.is_monotonic_decreasing).all()


def test_auto_takes_what_finds_most_held_out_orthologues(mouse_rat, table) -> None:
    mouse, rat = mouse_rat
    # organs of the rat under wrong names: only a method that learns from anchors can see through it
    rng = np.random.default_rng(5)
    rat = species(rat.varm["reactome"], "r", [f"o{i}" for i in rng.permutation(P)])
    scgx.tl.map_genes(mouse, rat, method="auto", orthologs=table, n_permutations=0)
    record = mouse.uns["gene_map"]
    scores = pd.DataFrame(record["scores"]).set_index("method")["recall_at_10"]
    assert record["method"] == scores.idxmax() in ("cca", "transport")
    assert scores["reactome"] < 0.25 < scores["cca"]


def test_diverged_genes_are_found_by_reactome_and_not_by_the_table(mouse_rat, table) -> None:
    mouse, rat = mouse_rat
    rat.varm["reactome"] = rat.varm["reactome"][np.r_[np.roll(np.arange(40), 1), np.arange(40, N)]]
    true = np.argsort(np.r_[np.roll(np.arange(40), 1), np.arange(40, N)])[:40]
    found = {}
    for method in ("reactome", "orthologs"):
        scgx.tl.map_genes(mouse, rat, method=method, orthologs=table, n_permutations=0)
        found[method] = np.mean(mouse.varm["gene_map"].toarray()[np.arange(40), true] > 0)
    assert found["reactome"] > 0.8
    assert found["orthologs"] == 0


def test_orthologs_keeps_one_gene_to_many(mouse_rat) -> None:
    mouse, rat = mouse_rat
    table = pd.DataFrame({"mouse": ["m1", "m1", "m2"], "rat": ["r1", "r7", "r2"]})
    scgx.tl.map_genes(mouse, rat, method="orthologs", orthologs=table)
    frame = scgx.get.gene_map(mouse)
    assert list(zip(frame["query_gene"], frame["reference_gene"], frame["weight"], strict=True)) == [
        ("m1", "r1", 0.5),
        ("m1", "r7", 0.5),
        ("m2", "r2", 1.0),
    ]


def test_uge_takes_the_cosine_of_the_models_embeddings(mouse_rat, table) -> None:
    mouse, rat = mouse_rat

    class Model:
        def get_gene_embeddings(self, names: pd.Index) -> np.ndarray:
            angle = np.array([int(name[1:]) for name in names]) * 2 * np.pi / N
            return np.column_stack([np.cos(angle), np.sin(angle)]) * (2 if names[0].startswith("r") else 1)

    scgx.tl.map_genes(mouse, rat, method="uge", model=Model(), orthologs=table, k=1, n_permutations=0)
    assert mouse.uns["gene_map"]["recall_at_1"] == 1
    found = partners(mouse)
    assert (found.index.str[1:] == found.str[1:]).all()


def test_genes_above_the_false_discovery_rate_are_left_out(mouse_rat) -> None:
    mouse, rat = mouse_rat
    rat.varm["reactome"][60:] = np.random.default_rng(9).normal(size=(60, P))
    scgx.tl.map_genes(mouse, rat, fdr=0.1)
    mapped = np.asarray(mouse.varm["gene_map"].sum(axis=1)).ravel() > 0
    np.testing.assert_array_equal(mapped, mouse.uns["gene_map"]["q_value"] <= 0.1)
    assert mapped[:60].mean() > 0.8
    assert mapped[60:].mean() < 0.2


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        pytest.param({"k": 0}, ValueError, "`k` must be at least 1; found 0", id="k"),
        pytest.param({"fdr": 0}, ValueError, "`fdr` must be above 0", id="fdr"),
        pytest.param({"n_permutations": 0, "fdr": 0.1}, ValueError, "`n_permutations` must", id="permutations"),
        pytest.param({"method": "best"}, ValueError, "`method` must be one of 'auto', 'reactome'", id="method"),
        pytest.param({"method": "cca"}, ValueError, "needs `orthologs`", id="no-orthologs"),
        pytest.param({"method": "uge"}, ValueError, "needs `model`", id="no-model"),
        pytest.param({"reactome_key": "other"}, KeyError, "scgx.pp.reactome", id="no-reactome"),
    ],
)
def test_errors_leave_the_query_as_it_was(kwargs, error, match, mouse_rat) -> None:
    mouse, rat = mouse_rat
    with pytest.raises(error, match=match):
        scgx.tl.map_genes(mouse, rat, **kwargs)
    assert "gene_map" not in mouse.varm
    assert "gene_map" not in mouse.uns


def test_no_shared_condition(mouse_rat, table) -> None:
    mouse, rat = mouse_rat
    rat = species(rat.varm["reactome"], "r", [f"other{i}" for i in range(P)])
    with pytest.raises(ValueError, match="no condition is in both reactomes"):
        scgx.tl.map_genes(mouse, rat)
    scgx.tl.map_genes(mouse, rat, method="cca", orthologs=table, n_permutations=0)  # anchors need none
    assert mouse.uns["gene_map"]["n_shared_conditions"] == 0


def test_transport_without_pot_names_the_extra(mouse_rat, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"scgx-tools\[species\]"):
        scgx.tl.map_genes(*mouse_rat, method="transport")


def test_copy_leaves_the_query_alone(mouse_rat) -> None:
    mouse, rat = mouse_rat
    result = scgx.tl.map_genes(mouse, rat, n_permutations=0, key_added="partners", copy=True)
    assert "partners" in result.varm
    assert "partners" not in mouse.varm


def test_a_map_does_not_replace_the_reactome(mouse_rat) -> None:
    mouse, rat = mouse_rat
    with pytest.raises(ValueError, match=r"`key_added` and `reactome_key` are both 'reactome'"):
        scgx.tl.map_genes(mouse, rat, key_added="reactome")
    assert mouse.varm["reactome"].shape == (N, P)
