from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData

from scgx.bm import labels


def cells(seed: int = 0, n: int = 90, *, noise: float = 1.0) -> AnnData:
    rng = np.random.default_rng(seed)
    kind = rng.choice(["B", "NK", "T"], n)
    centre = np.random.default_rng(99).normal(size=(3, 30))
    X = centre[np.unique(kind, return_inverse=True)[1]] + noise * rng.normal(size=(n, 30))
    obs = pd.DataFrame({"kind": kind, "donor": np.char.add("d", (np.arange(n) % 4).astype(str))})
    obs.index = [f"c{i}" for i in range(n)]
    return AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(30)]))


def mean(frame: pd.DataFrame, metric: str) -> pd.Series:
    return frame[(frame["group"] == "") & (frame["metric"] == metric)].groupby("method")["value"].mean()


def test_columns_methods_and_roles() -> None:
    frame = labels(cells(), label_key="kind", batch_key="donor", dataset="sim")
    assert list(frame.columns) == ["dataset", "split", "fold", "group", "method", "role", "metric", "value"]
    assert set(frame["split"]) == {"grouped by batch"}
    assert frame["fold"].nunique() == 4
    roles = frame.drop_duplicates("method").set_index("method")["role"]
    assert roles[roles == "baseline"].index.tolist() == ["majority"]
    assert set(roles.index) == {"majority", "centroid", "knn", "logistic_regression", "auto"}


def test_the_mean_recall_of_the_labels_is_balanced_accuracy() -> None:
    frame = labels(cells(), cells(1), label_key="kind", methods="knn")
    recall = frame[frame["metric"] == "recall"].groupby("method")["value"].mean()
    np.testing.assert_allclose(recall, mean(frame, "balanced_accuracy").loc[recall.index])


def test_shuffled_labels_are_not_found() -> None:
    query, reference = cells(1, 400), cells(0, 200)
    assert mean(labels(query, reference, label_key="kind", methods="centroid"), "accuracy")["auto"] > 0.9
    reference.obs["kind"] = np.random.default_rng(0).permutation(reference.obs["kind"].to_numpy())
    assert mean(labels(query, reference, label_key="kind", methods="knn"), "balanced_accuracy")["auto"] < 0.5


def test_answers_of_the_query_are_used_for_scoring_only() -> None:
    query, reference = cells(1), cells(0)
    plain = labels(query, reference, label_key="kind", methods="centroid")
    query.obs["kind"] = np.roll(["B", "NK", "T"], 1)[pd.factorize(query.obs["kind"], sort=True)[0]]
    moved = labels(query, reference, label_key="kind", methods="centroid")
    assert mean(plain, "accuracy")["centroid"] > 0.9
    assert mean(moved, "accuracy")["centroid"] < 0.1


def test_genes_must_be_shared() -> None:
    query = cells(1)
    query.var_names = [f"x{i}" for i in range(30)]
    with pytest.raises(ValueError, match="Pass `orthologs`"):
        labels(query, cells(), label_key="kind")


def test_single_rows_cannot_be_held_out() -> None:
    adata = cells()
    one_each = adata[[list(adata.obs["kind"]).index(kind) for kind in "BT"]].copy()
    with pytest.raises(ValueError, match="none can be held out"):
        labels(one_each, label_key="kind")


def test_auto_is_not_far_below_logistic_regression_on_real_cells() -> None:
    adata = sc.datasets.pbmc68k_reduced()
    adata = AnnData(adata.raw.X, obs=adata.obs[["bulk_labels"]], var=adata.raw.var[[]])
    f1 = mean(labels(adata, label_key="bulk_labels", n_folds=3), "macro_f1")
    assert f1["auto"] > f1["logistic_regression"] - 0.01
    assert f1["logistic_regression"] > f1["majority"] + 0.5
