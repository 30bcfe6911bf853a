from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from scgx.model import XTrimoGene
from scgx.model._xtrimogene_cells import Cells
from scgx.nn import XTrimoGeneSize
from scgx.train import _fit_batches

TINY = XTrimoGeneSize(16, 1, 2, 12, 1, 2)
FIT = {"accelerator": "cpu", "progress": False, "lr": 1e-2}


def simulate(n: int = 300, p: int = 60, seed: int = 0, depth: float = 1.0) -> ad.AnnData:
    """Counts of low rank: three cell types, in each of which a third of the genes is up; two platforms of unequal depth."""
    rng = np.random.default_rng(seed)
    kind, platform = rng.integers(0, 3, n), rng.integers(0, 2, n)
    rate = rng.gamma(2, 0.25, p) * np.where(np.arange(p) % 3 == kind[:, None], 4.0, 0.3)
    rate *= depth * rng.lognormal(0, 0.3, (n, 1)) * (1 + platform[:, None])
    obs = pd.DataFrame({"kind": [f"type {k}" for k in kind], "platform": platform.astype(str)})
    obs.index = [f"c{i}" for i in range(n)]
    counts = rng.poisson(rate).astype(np.float32)
    counts[:, 0] += counts.sum(1) == 0  # no empty cell
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(p)]))


def log_values(adata: ad.AnnData) -> np.ndarray:
    counts = adata.X.toarray()
    return np.log1p(1e4 * counts / counts.sum(1, keepdims=True))


def new_model(adata: ad.AnnData, *, setup: dict[str, Any] | None = None, **options: Any) -> XTrimoGene:
    XTrimoGene.setup_anndata(adata, **(setup or {}))
    return XTrimoGene(adata, **({"size": TINY} | options))


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return simulate()


@pytest.fixture(scope="module")
def trained(adata: ad.AnnData) -> XTrimoGene:
    model = new_model(adata[:240].copy(), setup={"metadata_keys": "platform"})
    model.train(12, **FIT)
    return model


@pytest.fixture
def unchanged_torch_rng() -> Iterator[None]:
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def test_hidden_values_are_recovered_better_than_by_gene_means(trained: XTrimoGene, adata: ad.AnnData) -> None:
    held_out, genes = adata[240:], [f"g{i}" for i in range(12)]
    truth, mean = log_values(held_out)[:, :12], log_values(adata[:240])[:, :12].mean(0)
    imputed = trained.impute(held_out, genes=genes)
    assert imputed.columns.tolist() == genes
    assert imputed.index.equals(held_out.obs_names)
    error = np.square(imputed.to_numpy() - truth).mean()
    assert error < 0.8 * np.square(mean - truth).mean()
    # what is hidden is hidden: other values of these genes change nothing but the cells' totals
    altered = held_out.copy()
    altered.X = altered.X.toarray()
    altered.X[:, :12] = altered.X[:, 11::-1].copy()
    np.testing.assert_allclose(trained.impute(altered, genes=genes), imputed, atol=1e-5)


def test_absent_genes_are_imputed(trained: XTrimoGene, adata: ad.AnnData) -> None:
    panel = adata[:5, 10:].copy()
    assert trained.impute(panel).columns.tolist() == [f"g{i}" for i in range(10)]
    with pytest.raises(ValueError, match="has all genes of the model; name the `genes`"):
        trained.impute(adata)
    with pytest.raises(KeyError, match="1 of 2 names are no genes of this model, for example 'nope'"):
        trained.impute(adata, genes=["g1", "nope"])


def test_odds_of_training_are_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training shows as many zeros as expressed genes; unless that is undone, rare genes come out far too high."""
    rare = simulate(p=200, depth=0.2)
    model = new_model(rare)
    model.train(4, **FIT)
    genes, truth = rare.var_names[::20].tolist(), log_values(rare)[:, ::20].mean()
    corrected = model.impute(rare, genes=genes).to_numpy().mean()
    head = type(model.module.network.head)
    expected = head.expected
    monkeypatch.setattr(head, "expected", lambda self, out, log_odds: expected(self, out))
    assert model.impute(rare, genes=genes).to_numpy().mean() > 1.7 * truth
    assert corrected == pytest.approx(truth, rel=0.25)


@pytest.mark.usefixtures("unchanged_rng", "unchanged_torch_rng")
def test_rows_keep_their_order_whatever_the_batch(trained: XTrimoGene, adata: ad.AnnData) -> None:
    whole = trained.get_latent_representation(adata, pooling="both")
    assert whole.shape == (300, 32)
    for batch_size in (1, 7):
        again = trained.get_latent_representation(adata, pooling="both", batch_size=batch_size)
        np.testing.assert_allclose(again, whole, atol=1e-5)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_allclose(trained.get_latent_representation(adata[order], pooling="both"), whole[order], atol=1e-5)
    np.testing.assert_allclose(trained.get_latent_representation(adata, pooling="max"), whole[:, 16:], atol=1e-5)


@pytest.mark.parametrize("form", ["permuted", "extra", "dense", "csc", "csr_array", "layer", "backed"])
def test_genes_are_found_by_name_in_any_form(trained: XTrimoGene, adata: ad.AnnData, form: str, tmp_path: Path) -> None:
    expected = trained.get_latent_representation(adata)
    query, layer = adata.copy(), None
    if form == "permuted":
        query = query[:, np.random.default_rng(0).permutation(query.n_vars)].copy()
    elif form == "extra":  # genes that count for the total only: none here
        other = ad.AnnData(sparse.csr_matrix((300, 4), dtype=np.float32), obs=query.obs)
        other.var_names = list("wxyz")
        query = ad.concat([other, query], axis=1, merge="same")
        query.obs = adata.obs
    elif form == "dense":
        query.X = query.X.toarray()
    elif form == "csc":
        query.X = query.X.tocsc()
    elif form == "csr_array":
        query.X = sparse.csr_array(query.X)
    elif form == "layer":
        query.layers["raw"], query.X, layer = query.X, np.zeros((300, 60)), "raw"
    else:
        query.write_h5ad(tmp_path / "x.h5ad")
        query = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    np.testing.assert_allclose(trained.get_latent_representation(query, layer=layer), expected, atol=1e-5)


def test_log_values_give_what_counts_give(adata: ad.AnnData) -> None:
    logs = adata.copy()
    logs.X = sparse.csr_matrix(log_values(adata))
    found = []
    for data, scale in ((adata, "counts"), (logs, "log1p")):
        model = new_model(data, setup={"input_scale": scale})
        model.train(1, **FIT)
        found.append(model.get_latent_representation(data))
    # the same but for the unit: of log values it is the least one, and not every cell has a gene with one count
    same = (adata.X.toarray() == 1).any(1)
    assert same.mean() > 0.95
    assert np.corrcoef(found[0][same].ravel(), found[1][same].ravel())[0, 1] > 0.99


def test_training_keeps_a_sparse_matrix_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    n, p = 1500, 6000
    rng = np.random.default_rng(0)
    X = sparse.random(n, p, density=0.005, format="csr", dtype=np.float32, rng=rng)
    X.data[:] = rng.integers(1, 9, X.nnz)
    big = ad.AnnData(X)
    model = new_model(big, size=XTrimoGeneSize(8, 1, 1, 8, 1, 1))

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a sparse matrix was made dense")

    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix):
        monkeypatch.setattr(kind, "toarray", refuse)
        monkeypatch.setattr(kind, "todense", refuse)
    tracemalloc.start()
    model.train(1, **FIT, batch_size=64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.3 * n * p * 4
    assert (big.X != X).nnz == 0


@pytest.mark.parametrize("stop_after", ["an epoch", "some steps", "some time"])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    adata: ad.AnnData, tmp_path: Path, stop_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = FIT | {"checkpoint": tmp_path, "resume": True, "checkpoint_every": 2, "batch_size": 64}
    whole = new_model(adata, dropout=0.1)
    whole.train(3, **FIT, batch_size=64)
    part = new_model(adata, dropout=0.1)
    if stop_after == "an epoch":
        part.train(1, **options)
    elif stop_after == "some time":
        monkeypatch.setattr(_fit_batches, "time", SimpleNamespace(monotonic=itertools.count().__next__))
        part.train(3, **options, max_seconds=2)  # by a clock that ticks when it is read, once a step
        monkeypatch.undo()
        two_steps = part.history["validation_mse"]
        assert len(two_steps) == 1  # what was done is validated
        assert two_steps.iloc[0, 0] > whole.history["validation_mse"].iloc[0, 0]  # and it was no whole epoch
    else:
        read, calls = Cells.read, []

        def interrupted(self: Cells, rows: np.ndarray) -> Any:
            calls.append(rows)
            if len(calls) > 10:
                raise KeyboardInterrupt
            return read(self, rows)

        monkeypatch.setattr(Cells, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            part.train(3, **options)
        monkeypatch.undo()
    resumed = new_model(adata, dropout=0.1, seed=5)  # first weights do not matter
    resumed.train(3, **options)
    for name, weight in whole.module.state_dict().items():
        torch.testing.assert_close(resumed.module.state_dict()[name], weight, rtol=0, atol=0)
    pd.testing.assert_frame_equal(resumed.history["train_loss"], whole.history["train_loss"])
    assert len(whole.history["validation_mse"]) == 3


def test_checkpoints_are_neither_overwritten_nor_mixed_up(adata: ad.AnnData, tmp_path: Path) -> None:
    model = new_model(adata)
    model.train(1, **FIT, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"training\.safetensors exists; pass `resume=True`"):
        model.train(1, **FIT, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="is of another training.*batch_size: 32 then, 16 now"):
        new_model(adata).train(2, **FIT, checkpoint=tmp_path, resume=True, batch_size=16)
    with pytest.raises(ValueError, match="`resume=True` needs `checkpoint`"):
        model.train(1, **FIT, resume=True)
    (tmp_path / "training.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="is damaged or no checkpoint"):
        new_model(adata).train(2, **FIT, checkpoint=tmp_path, resume=True)


def test_saved_and_loaded_models_agree(trained: XTrimoGene, adata: ad.AnnData, tmp_path: Path) -> None:
    trained.save(tmp_path)
    loaded = XTrimoGene.load(tmp_path)
    np.testing.assert_array_equal(loaded.get_latent_representation(adata), trained.get_latent_representation(adata))
    pd.testing.assert_frame_equal(loaded.impute(adata, genes=["g3"]), trained.impute(adata, genes=["g3"]))
    pd.testing.assert_frame_equal(loaded.history["train_loss"], trained.history["train_loss"])
    half = XTrimoGene.load(tmp_path, dtype="bfloat16").get_latent_representation(adata)
    assert np.corrcoef(half.ravel(), trained.get_latent_representation(adata).ravel())[0, 1] > 0.999
    with pytest.raises(ValueError, match="holds no cells to train on"):
        loaded.train(1, **FIT)
    further = XTrimoGene.load(tmp_path, adata=adata[:, ::-1].copy())
    further.train(1, **FIT)
    assert further.history["validation_loss"].iloc[0, 0] < trained.history["validation_loss"].iloc[0, 0]
    (tmp_path / "model.json").write_text(
        json.dumps(json.loads((tmp_path / "model.json").read_text()) | {"model": "UGE"})
    )
    with pytest.raises(ValueError, match="holds UGE"):
        XTrimoGene.load(tmp_path)


def test_gene_embeddings_with_and_without_context(trained: XTrimoGene, adata: ad.AnnData) -> None:
    table = trained.get_gene_embeddings()
    assert table.shape == (60, 16)
    np.testing.assert_array_equal(trained.get_gene_embeddings(genes=["g7", "g2"]), table[[7, 2]])
    few = adata[:4]
    context = trained.get_gene_embeddings(few)
    assert context.shape == (4, 60, 12)
    np.testing.assert_allclose(trained.get_gene_embeddings(few, genes=["g7"])[:, 0], context[:, 7], atol=1e-6)
    np.testing.assert_allclose(trained.get_gene_embeddings(few, average=True), context.mean(0), atol=1e-6)
    assert np.abs(context[0] - context[1]).max() > 1e-3


def test_chunks_of_genes_change_nothing(
    trained: XTrimoGene, adata: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained.get_gene_embeddings(adata[:2])
    monkeypatch.setattr(type(trained.module), "_chunk", lambda self: 7)
    np.testing.assert_allclose(trained.get_gene_embeddings(adata[:2]), whole, atol=1e-6)


def test_labels_are_learned(adata: ad.AnnData, tmp_path: Path) -> None:
    labelled = adata.copy()
    labelled.obs.loc[labelled.obs_names[200:], "kind"] = None
    labelled.obs["one"] = "a"
    model = new_model(adata[:200].copy())
    model.train(4, **FIT)
    with pytest.raises(ValueError, match="was not fine-tuned"):
        model.predict_labels(adata)
    before = model.get_gene_embeddings()
    model.fine_tune(labelled, label_key="kind", freeze=True, max_epochs=2, **FIT)
    np.testing.assert_array_equal(model.get_gene_embeddings(), before)
    model.fine_tune(labelled, label_key="kind", max_epochs=6, **FIT)
    held_out = adata[200:]
    assert (model.predict_labels(held_out) == held_out.obs["kind"]).mean() > 0.9
    probability = model.predict_probabilities(held_out)
    assert probability.columns.tolist() == ["type 0", "type 1", "type 2"]
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    model.save(tmp_path)
    pd.testing.assert_frame_equal(XTrimoGene.load(tmp_path).predict_probabilities(held_out), probability)
    with pytest.raises(ValueError, match=r"\.obs\['one'\] has 1 classes; at least 2"):
        model.fine_tune(labelled, label_key="one")


def test_metadata_may_be_missing_or_new(trained: XTrimoGene, adata: ad.AnnData) -> None:
    known = trained.get_latent_representation(adata)
    without, new = adata.copy(), adata.copy()
    del without.obs["platform"]
    new.obs["platform"] = "a third one"
    unknown = trained.get_latent_representation(without)
    np.testing.assert_allclose(trained.get_latent_representation(new), unknown, atol=1e-6)
    assert np.abs(unknown - known).max() > 1e-4


def test_added_genes_start_near_those_they_follow(adata: ad.AnnData, tmp_path: Path) -> None:
    model = new_model(adata)
    model.train(2, **FIT)
    copies = adata[:, :3].copy()  # a copy of a gene correlates best with it
    copies.var_names = ["n0", "n1", "n2"]
    wide = ad.concat([adata, copies], axis=1, merge="same")
    wide.X = sparse.csr_matrix(wide.X)
    wide.obs = adata.obs
    before = model.get_latent_representation(adata)
    with pytest.raises(ValueError, match=r"1 not in `adata` \('x'\), 1 known \('g0'\)"):
        model.add_genes(wide, ["x", "g0"])
    table = model.get_gene_embeddings()
    model.add_genes(wide, n_neighbors=1)
    assert model.genes[-3:].tolist() == ["n0", "n1", "n2"]
    np.testing.assert_allclose(model.get_gene_embeddings(genes=["n0", "n1", "n2"]), table[:3])
    np.testing.assert_allclose(model.get_latent_representation(adata), before, atol=1e-6)
    assert model.impute(adata[:3]).columns.tolist() == ["n0", "n1", "n2"]
    model.save(tmp_path)
    np.testing.assert_allclose(XTrimoGene.load(tmp_path).get_latent_representation(adata), before, atol=1e-6)


def test_the_users_object_stays_as_it_was(adata: ad.AnnData) -> None:
    data = adata.copy()
    before = data.copy()
    model = new_model(data)
    model.train(1, **FIT)
    assert not data.uns
    assert data.obs.equals(before.obs)
    assert (data.X != before.X).nnz == 0


def test_errors_say_what_to_do(trained: XTrimoGene, adata: ad.AnnData) -> None:
    other = adata.copy()
    other.var_names = [f"ENSG{i}" for i in range(60)]
    with pytest.raises(ValueError, match=r"0 of 60 genes.*at least 50%"):
        trained.get_latent_representation(other)
    with pytest.raises(ValueError, match="is not set up; call `XTrimoGene.setup_anndata"):
        XTrimoGene(adata.copy())
    with pytest.raises(KeyError, match="metadata_keys='tissue' is not in .obs"):
        XTrimoGene.setup_anndata(adata, metadata_keys="tissue")
    with pytest.raises(ValueError, match="`input_scale` must be 'counts' or 'log1p'"):
        XTrimoGene.setup_anndata(adata, input_scale="linear")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`size` must be one of 'small', '3M'"):
        new_model(adata, size="1B")
    with pytest.raises(ValueError, match="is not trained"):
        new_model(adata).get_latent_representation(adata)
    logs = adata.copy()
    logs.X = sparse.csr_matrix(log_values(adata))
    with pytest.raises(ValueError, match="most values are no whole numbers"):
        trained.get_latent_representation(logs)
    empty = adata.copy()
    empty.X = empty.X.toarray()
    empty.X[7] = 0
    with pytest.raises(ValueError, match="row 7 expresses no gene"):
        trained.get_latent_representation(empty)
    empty.X[7, 0] = np.nan
    with pytest.raises(ValueError, match="negative, NaN or infinite"):
        trained.get_latent_representation(empty)
    with pytest.raises(ValueError, match="`accelerator` must be 'auto' or"):
        trained.fine_tune(adata, label_key="kind", accelerator="abacus")


@pytest.mark.realdata
def test_batches_of_real_cells_hold_little_padding() -> None:
    from scgx import datasets
    from scgx.nn import length_buckets
    from scgx.nn._xtrimogene_buckets import padding_share

    cells = datasets.load("kang2018_ifnb")
    lengths = np.diff(sparse.csr_matrix(cells.X).indptr)
    assert padding_share(lengths, length_buckets(lengths, 32, rng=np.random.default_rng(0))) < 0.1
