from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from scgx import tl


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    """Two cell types, each with half of the genes up."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 120)
    counts = rng.poisson(np.where(np.arange(50) % 2 == kind[:, None], 2.0, 0.2)).astype(np.float32)
    obs = pd.DataFrame({"kind": kind.astype(str)}, index=[f"c{i}" for i in range(120)])
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(50)]))


@pytest.fixture(scope="module")
def embedded(cells: ad.AnnData) -> ad.AnnData:
    result = tl.embed(cells, accelerator="cpu", max_seconds=2, copy=True)
    assert result is not None
    return result


@pytest.fixture
def unchanged_torch_rng() -> Iterator[None]:
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def test_types_separate_and_the_record_can_be_written(embedded: ad.AnnData, cells: ad.AnnData, tmp_path: Path) -> None:
    X, kind = embedded.obsm["X_xtrimogene"], embedded.obs["kind"].to_numpy()
    assert X.shape == (120, 96)
    assert X.dtype == np.float32
    centers = np.stack([X[kind == k].mean(0) for k in "01"])
    nearest = np.square(X[:, None] - centers).sum(-1).argmin(1).astype(str)
    assert (nearest == kind).mean() > 0.95
    record = embedded.uns["xtrimogene"]
    assert (record["n_genes"], record["n_genes_found"], record["trained_here"]) == (50, 50, True)
    assert len(record["validation_mse"]) == record["epochs"]
    assert "X_xtrimogene" not in cells.obsm
    embedded.write_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "x.h5ad").obsm["X_xtrimogene"], X)


@pytest.mark.usefixtures("unchanged_rng", "unchanged_torch_rng")
def test_a_model_only_predicts(cells: ad.AnnData) -> None:
    from scgx.model import XTrimoGene
    from scgx.nn import XTrimoGeneSize

    XTrimoGene.setup_anndata(cells)
    model = XTrimoGene(cells, size=XTrimoGeneSize(8, 1, 1, 8, 1, 1))
    model.train(1, accelerator="cpu", progress=False)
    weights = {name: x.clone() for name, x in model.module.state_dict().items()}
    query = cells[::-1, ::-1].copy()
    query.layers["raw"], query.X = query.X, None
    assert tl.embed(query, model=model, pooling="both", layer="raw", key_added="X_other") is None
    expected = model.get_latent_representation(cells, pooling="both")[::-1]
    np.testing.assert_allclose(query.obsm["X_other"], expected, atol=1e-5)
    assert (query.uns["other"]["trained_here"], query.uns["other"]["layer"]) == (False, "raw")
    assert all(torch.equal(x, weights[name]) for name, x in model.module.state_dict().items())


def test_a_failing_call_changes_nothing(cells: ad.AnnData) -> None:
    logs = cells.copy()
    logs.X = logs.X.log1p()
    with pytest.raises(ValueError, match="most values are no whole numbers"):
        tl.embed(logs)
    with pytest.raises(KeyError, match="layer='counts' is not in .layers"):
        tl.embed(logs, layer="counts")
    assert not logs.obsm
    assert not logs.uns
