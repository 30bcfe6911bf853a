from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scgx.model import XTrimoGene
from scgx.nn import XTrimoGeneSize
from scgx.tl import transfer_labels
from scgx.tl._label_encoder import FineTunedLabels


def cells(seed: int, n: int = 60) -> ad.AnnData:
    """Three types, each with a third of the genes up; counts in a layer, log values in X."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    counts = sparse.csr_matrix(rng.poisson(np.where(np.arange(30) % 3 == kind[:, None], 2.5, 0.3)), dtype=np.float32)
    obs = pd.DataFrame({"kind": kind.astype(str), "donor": (np.arange(n) // 3 % 2).astype(str)})
    obs.index = [f"c{i}" for i in range(n)]
    return ad.AnnData(
        counts.log1p(), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(30)]), layers={"counts": counts}
    )


@pytest.fixture(scope="module")
def model() -> XTrimoGene:
    data = cells(0, 90)
    XTrimoGene.setup_anndata(data, layer="counts", metadata_keys=["donor"])
    model = XTrimoGene(data, size=XTrimoGeneSize(12, 1, 2, 12, 1, 2))
    model.train(3, accelerator="cpu", lr=1e-2, progress=False)
    return model


@pytest.fixture
def query() -> ad.AnnData:
    return cells(1)


@pytest.fixture
def reference() -> ad.AnnData:
    return cells(2)


def test_auto_scores_the_encoder_beside_the_others_and_leaves_it_as_it_was(
    query: ad.AnnData, reference: ad.AnnData, model: XTrimoGene
) -> None:
    before = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    reference.obs.loc[reference.obs_names[:6], "kind"] = np.nan
    transfer_labels(query, reference, label_key="kind", batch_key="donor", model=model, unknown=0.1)
    record = query.uns["transfer_labels"]
    assert record["scores"]["method"].tolist() == [
        "majority",
        "centroid",
        "knn",
        "logistic_regression",
        "embedding",
        "fine_tuned",
    ]
    macro_f1 = dict(zip(record["scores"]["method"], record["scores"]["macro_f1"], strict=True))
    assert macro_f1["fine_tuned"] > macro_f1["majority"] + 0.3
    assert record["split"] == "grouped by batch"
    label = query.obs["kind_transferred"].astype(str)
    assert (label == query.obs["kind"])[label != "unknown"].mean() > 0.9
    after = model.module.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_embedding_is_logistic_regression_on_the_frozen_vectors(
    query: ad.AnnData, reference: ad.AnnData, model: XTrimoGene
) -> None:
    query = query[:, ::-1].copy()
    transfer_labels(query, reference, label_key="kind", model=model, method="embedding")
    X, Q = (model.get_latent_representation(adata, pooling="both") for adata in (reference, query))
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, reference.obs["kind"])
    np.testing.assert_allclose(query.obsm["kind_probability"], head.predict_proba(Q), atol=1e-3)


def test_fine_tuning_moves_the_encoder_of_a_copy(reference: ad.AnnData, model: XTrimoGene) -> None:
    y = reference.obs["kind"].to_numpy(dtype=str)
    fitted = FineTunedLabels(model).fit(reference, y)
    assert (fitted.predict(reference) == y).mean() > 0.7  # by chance 0.33
    name, weight = next((n, w) for n, w in model.module.network.encoder.named_parameters() if w.ndim == 2)
    assert not torch.equal(fitted.model_.module.network.encoder.get_parameter(name), weight)
    with pytest.raises(ValueError, match="not fine-tuned"):
        model.predict_labels(reference)


def test_a_fine_tuned_model_without_a_reference_only_predicts(
    query: ad.AnnData, reference: ad.AnnData, model: XTrimoGene
) -> None:
    tuned = FineTunedLabels(model).fit(reference, reference.obs["kind"].to_numpy(dtype=str)).model_
    expected = tuned.predict_probabilities(query)
    transfer_labels(query, label_key="kind", model=tuned)
    np.testing.assert_allclose(query.obsm["kind_probability"], expected, rtol=1e-5)
    assert query.uns["transfer_labels"]["method"] == "XTrimoGene"
    assert query.obs["kind_transferred"].tolist() == expected.idxmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"model": None, "method": "embedding"}, "needs `model`", id="no model"),
        pytest.param({"model": None, "method": ["knn", "fine_tuned"]}, "needs `model`", id="no model for one"),
        pytest.param({"method": "knn"}, "does not use", id="unused model"),
        pytest.param({"orthologs": "symbol"}, "does not go with `orthologs`", id="another species"),
        pytest.param({"reference": None}, "was not fine-tuned", id="no head"),
        pytest.param({"reference": None, "unknown": 0.1}, "`model` only predicts", id="no reference"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(
    query: ad.AnnData, reference: ad.AnnData, model: XTrimoGene, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        transfer_labels(query, **({"reference": reference, "label_key": "kind", "model": model} | arguments))
    assert not query.uns
    assert "kind_transferred" not in query.obs
