from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import scgx
from scgx.tl import transfer_labels

SETTINGS: dict[str, Any] = {"label_key": "cell_type"}


def cells(seed: int = 0, n: int = 120, genes: int = 60) -> AnnData:
    """Three types in three donors; the types are the same for every seed."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["B", "NK", "T"], n)
    centre = np.random.default_rng(99).gamma(1, 1.5, size=(3, genes))
    X = centre[np.unique(kind, return_inverse=True)[1]] + rng.normal(size=(n, genes))
    obs = pd.DataFrame({"cell_type": kind, "donor": np.arange(n) % 3}, index=[f"c{i}" for i in range(n)])
    obs["donor"] = obs["donor"].astype(str)
    return AnnData(
        np.maximum(X, 0).astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(genes)])
    )


def organs(seed: int, prefix: str, names: str = "abcdef") -> AnnData:
    """A study of organs; the genes differ from study to study."""
    rng = np.random.default_rng(7)
    X = 2 + rng.gamma(0.7, 1, size=(6, 5)) @ rng.gamma(0.5, 1, size=(5, 600))
    for i in range(6):
        X[i, rng.random(600) < 0.02 * (i + 1)] += 5
    X = X[:, np.random.default_rng(seed).permutation(600)[:550]]
    obs = pd.DataFrame({"organ": list("abcdef")}, index=[f"{prefix}{i}" for i in range(6)])
    adata = AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"{prefix}{i}" for i in range(550)]))
    return adata[[list("abcdef").index(name) for name in names]].copy()


@pytest.fixture
def query() -> AnnData:
    adata = cells(1)
    del adata.obs["cell_type"]
    return adata


@pytest.fixture
def reference() -> AnnData:
    return cells(0)


def test_labels_are_found_and_recorded(query: AnnData, reference: AnnData) -> None:
    transfer_labels(query, reference, **SETTINGS)
    record = query.uns["transfer_labels"]
    assert (query.obs["cell_type_transferred"].astype(str) == cells(1).obs["cell_type"]).mean() > 0.95
    probability = query.obsm["cell_type_probability"]
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert record["classes"].tolist() == ["B", "NK", "T"]
    scores = pd.DataFrame(record["scores"]).set_index("method")
    assert set(scores.index) == {"majority", "centroid", "knn", "logistic_regression"}
    assert scores.loc[record["method"], "macro_f1"] >= scores.loc["logistic_regression", "macro_f1"]
    assert record["split"] == "random (optimistic)"
    assert record["genes"]["n_shared"] == 60


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_sparse_data_get_the_same_labels(query: AnnData, reference: AnnData, form: type) -> None:
    dense = transfer_labels(query, reference, **SETTINGS, method="centroid", copy=True)
    query.X, reference.X = form(query.X), form(reference.X)
    done = transfer_labels(query, reference, **SETTINGS, method="centroid", copy=True)
    np.testing.assert_allclose(done.obsm["cell_type_probability"], dense.obsm["cell_type_probability"], atol=1e-5)


@pytest.mark.parametrize("method", ["centroid", "knn", "logistic_regression"])
def test_order_of_rows_and_genes_does_not_matter(query: AnnData, reference: AnnData, method: str) -> None:
    rng = np.random.default_rng(0)
    plain = transfer_labels(query, reference, **SETTINGS, method=method, copy=True)
    mixed = query[rng.permutation(query.n_obs)][:, rng.permutation(query.n_vars)].copy()
    transfer_labels(mixed, reference, **SETTINGS, method=method)
    expected = pd.DataFrame(plain.obsm["cell_type_probability"], index=plain.obs_names)
    np.testing.assert_allclose(mixed.obsm["cell_type_probability"], expected.loc[mixed.obs_names], atol=1e-4)


def test_held_out_rows_are_whole_batches(query: AnnData, reference: AnnData) -> None:
    transfer_labels(query, reference, **SETTINGS, batch_key="donor")
    assert query.uns["transfer_labels"]["split"] == "grouped by batch"


def test_unknown_takes_the_doubtful_rows(query: AnnData, reference: AnnData) -> None:
    plain = transfer_labels(query, reference, **SETTINGS, method="logistic_regression", copy=True)
    query.X[:20] = 0.5  # no cell of any type
    transfer_labels(query, reference, **SETTINGS, method="logistic_regression", unknown=0.05)
    label = query.obs["cell_type_transferred"].astype(str)
    top = query.obsm["cell_type_probability"].max(axis=1)
    assert ((label == "unknown") == (top < query.uns["transfer_labels"]["threshold"])).all()
    assert (label[20:] == "unknown").mean() < 0.15
    assert "unknown" not in set(plain.obs["cell_type_transferred"])


def test_orthologues_and_the_mean_of_several(query: AnnData, reference: AnnData) -> None:
    other = reference.copy()
    other.var_names = [f"h{i}" for i in range(60)]
    # g0 has two copies in the query's species that together do what the one gene does
    second = query[:, :1].copy()
    second.var_names = ["g0b"]
    double = ad.concat([query, second], axis=1, merge="same")
    double.X[:, 0] *= 0.5
    double.X[:, -1] *= 1.5
    table = pd.DataFrame({"human": [f"h{i}" for i in range(60)] + ["h0"], "rat": [*query.var_names, "g0b"]})
    transfer_labels(double, other, **SETTINGS, method="centroid", orthologs=table)
    transfer_labels(query, reference, **SETTINGS, method="centroid")
    np.testing.assert_allclose(double.obsm["cell_type_probability"], query.obsm["cell_type_probability"], atol=1e-6)
    assert double.uns["transfer_labels"]["genes"]["n_one_to_many"] == 2


def test_structure_is_the_last_resort_and_says_so() -> None:
    query, reference = organs(1, "q", "fbdace"), organs(2, "r")
    truth = query.obs.pop("organ")
    transfer_labels(query, reference, label_key="organ")
    assert query.obs["organ_transferred"].astype(str).tolist() == truth.tolist()
    record = query.uns["transfer_labels"]
    assert record["method"] == "structure"
    assert record["note"].startswith("gene names do not match")
    assert record["genes"]["n_shared"] == 0


def test_labels_of_the_query_are_anchors_for_structure() -> None:
    query, reference = organs(1, "q"), organs(2, "r")
    query.obs["organ"] = ["b", "a", *[np.nan] * 4]  # wrong on purpose: anchors are believed
    transfer_labels(query, reference, label_key="organ", method="structure")
    assert query.obs["organ_transferred"].tolist()[:2] == ["b", "a"]
    assert "2 anchors" in query.uns["transfer_labels"]["note"]


def test_a_fitted_classifier_only_predicts(query: AnnData, reference: AnnData) -> None:
    model = LogisticRegression(max_iter=500).fit(reference.to_df(), reference.obs["cell_type"])
    shuffled = query[:, ::-1].copy()
    transfer_labels(shuffled, label_key="cell_type", model=model)
    np.testing.assert_allclose(shuffled.obsm["cell_type_probability"], model.predict_proba(query.to_df()), rtol=1e-5)


def test_key_added_names_everything_and_the_result_can_be_written(
    query: AnnData, reference: AnnData, tmp_path: Any
) -> None:
    out = transfer_labels(query, reference, **SETTINGS, unknown=0.05, key_added="mine", copy=True)
    assert "mine" not in query.obs
    out.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    scores = pd.DataFrame(back.uns["mine"]["scores"]).set_index("method")
    assert scores["role"].to_dict() == {"majority": "baseline"} | dict.fromkeys(scores.index[1:], "candidate")
    assert back.obsm["mine_probability"].shape == (120, 3)
    assert back.obs["mine"].tolist() == out.obs["mine"].tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param({"label_key": "cell_tipe"}, KeyError, "nearest: 'cell_type'", id="label"),
        pytest.param({"batch_key": "doner"}, KeyError, "nearest: 'donor'", id="batch"),
        pytest.param({"layer": "counts"}, KeyError, "layer='counts'", id="layer"),
        pytest.param({"method": "svm"}, ValueError, "different names of", id="method"),
        pytest.param({"model": object()}, ValueError, "`model` only predicts", id="model"),
        pytest.param({"method": "structure"}, ValueError, "average the rows of each organ", id="too many rows"),
        pytest.param({"unknown": 1.5}, ValueError, "share in", id="unknown"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(
    query: AnnData, reference: AnnData, arguments: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        transfer_labels(query, reference, **(SETTINGS | arguments))
    assert list(query.obs) == ["donor"]
    assert not query.uns
    assert not query.obsm


def test_one_label_is_not_enough(query: AnnData, reference: AnnData) -> None:
    reference.obs["cell_type"] = "T"
    with pytest.raises(ValueError, match="has 1 label in reference.obs"):
        transfer_labels(query, reference, **SETTINGS)


@pytest.mark.parametrize("method", ["knn", "auto"])
def test_cells_need_genes(query: AnnData, reference: AnnData, method: str) -> None:
    query.var_names = [f"other{i}" for i in range(60)]
    with pytest.raises(ValueError, match="Pass `orthologs`.*structure"):
        transfer_labels(query, reference, **SETTINGS, method=method)


def test_an_anchor_must_be_a_label_of_the_reference() -> None:
    query = organs(1, "q")
    query.obs["organ"] = ["z", *[np.nan] * 5]
    with pytest.raises(ValueError, match="labels that the reference lacks: 'z'"):
        transfer_labels(query, organs(2, "r"), label_key="organ")


def test_real_cells_are_labelled_about_as_well_as_by_logistic_regression() -> None:
    adata = sc.datasets.pbmc68k_reduced()
    adata = AnnData(adata.raw.X, obs=adata.obs[["bulk_labels"]], var=adata.raw.var[[]])
    query, reference = adata[::3].copy(), adata[np.arange(adata.n_obs) % 3 > 0].copy()
    transfer_labels(query, reference, label_key="bulk_labels")
    right = query.obs["bulk_labels_transferred"].astype(str) == query.obs["bulk_labels"].astype(str)
    scores = pd.DataFrame(query.uns["transfer_labels"]["scores"]).set_index("method")["macro_f1"]
    assert right.mean() > 0.65
    assert scores[query.uns["transfer_labels"]["method"]] > scores["majority"] + 0.5


@pytest.mark.realdata
def test_rat_organs_are_named_by_mouse_organs() -> None:
    data = scgx.datasets.load("organs")
    for rat, mouse, n in (
        ("rat_bodymap_yu2014", "mouse_ENCODE_TissueEnrich", 8),
        ("rat_Fushan2015", "mouse_Fushan2015", 3),
    ):
        query, reference = data[rat].copy(), data[mouse].copy()
        for adata in (query, reference):
            adata.X = np.log2(1e6 * adata.X / adata.X.sum(axis=1, keepdims=True) + 1)
        common = set(query.obs["organ"]) & set(reference.obs["organ"])
        query, reference = (adata[adata.obs["organ"].isin(common)].copy() for adata in (query, reference))
        transfer_labels(query, reference, label_key="organ", orthologs="one2one", batch_key="study")
        assert query.n_obs == n
        assert (query.obs["organ_transferred"].astype(str) == query.obs["organ"].astype(str)).all()
