from __future__ import annotations

import json
import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import scgx
from scgx.model import PerturbationGraph
from scgx.model._perturbation_graph_setup import embedding_of

KEYS = {"perturbation_key": "gene", "control": "none", "separator": "+"}
GENES, SETS = 24, 4
FIT = {"max_epochs": 15, "lr": 1e-2, "patience": 6, "progress": False}


def make_screen(n_names: int = 22, n_cells: int = 8, seed: int = 0) -> tuple[ad.AnnData, pd.DataFrame, np.ndarray]:
    """Cells, sets of the perturbed genes and of two more (``new0``, ``new1``), and the true effects of all."""
    rng = np.random.default_rng(seed)
    sets = np.eye(SETS)[np.arange(n_names + 2) % SETS]
    effect = sets @ rng.normal(0, 0.8, size=(SETS, GENES))
    names = [f"P{k:02d}" for k in range(n_names)] + ["new0", "new1"]
    members = [(), *((k,) for k in range(n_names)), *((k, k + 1) for k in range(0, n_names - 1, 3))]
    start = rng.uniform(3, 5, GENES)
    blocks, labels = [], []
    for one in members:
        n = n_cells if one else 5 * n_cells
        change = sum((effect[k] for k in one), np.zeros(GENES))
        blocks.append(start + change + 0.3 * rng.normal(size=(n, GENES)))
        labels += ["+".join(names[k] for k in one) or "none"] * n
    obs = pd.DataFrame({"gene": labels}, index=[f"c{i}" for i in range(len(labels))])
    var = pd.DataFrame(index=[f"G{j:02d}" for j in range(GENES)])
    X = np.maximum(np.concatenate(blocks), 0).astype(np.float32)
    return ad.AnnData(X, obs=obs, var=var), pd.DataFrame(sets, index=names), effect


@pytest.fixture(scope="module")
def screen() -> tuple[ad.AnnData, pd.DataFrame, np.ndarray]:
    return make_screen()


@pytest.fixture(scope="module")
def trained(screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray]) -> PerturbationGraph:
    adata, features, _ = screen
    PerturbationGraph.setup_anndata(adata, **KEYS)
    model = PerturbationGraph(adata, features=features, width=16)
    model.train(**FIT)
    return model


def controls_of(adata: ad.AnnData) -> ad.AnnData:
    return adata[adata.obs["gene"] == "none"].copy()


def changes(model: PerturbationGraph, query: ad.AnnData, names: list[str]) -> np.ndarray:
    return model.predict(query, names).uns["perturbation_predicted"]["change"]


def test_new_genes_are_predicted_from_their_sets_and_marked(
    trained: PerturbationGraph, screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray]
) -> None:
    adata, _, effect = screen
    predicted = trained.predict(controls_of(adata), ["new0", "new1+P02", "P03"])
    record = predicted.uns["perturbation_predicted"]
    assert np.corrcoef(record["change"][0], effect[-2])[0, 1] > 0.7
    assert record["novel"].tolist() == ["new0", "new1", ""]
    assert record["novelty"].tolist() == [0, 0, 0]  # the same sets as others
    assert record["method"].tolist() == ["perturbation_graph"] * 3
    X, gene = np.asarray(adata.X, dtype=float), adata.obs["gene"].to_numpy(dtype=str)
    means = pd.DataFrame(X).groupby(gene).mean()
    mean_change = means.drop(index="none").mean() - means.loc["none"]
    np.testing.assert_allclose(record["mean_change"], np.tile(mean_change, (3, 1)), atol=1e-4)


def test_setting_up_tells_nothing_of_internal_names() -> None:
    told: list[logging.LogRecord] = []
    handler, logger = logging.Handler(logging.INFO), logging.getLogger("scvi")
    handler.emit = told.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        adata, _, _ = make_screen(n_names=5)
        PerturbationGraph.setup_anndata(adata, **KEYS)
        PerturbationGraph(adata)
    finally:
        logger.removeHandler(handler)
    assert logger.isEnabledFor(logging.INFO)
    assert not told


def test_cells_have_the_form_of_the_predictor_and_the_predicted_change(
    trained: PerturbationGraph, screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray], tmp_path: Path
) -> None:
    adata, features, _ = screen
    query = controls_of(adata)
    predicted = trained.predict(query, ["P01", "P01+P02"])
    other = scgx.tl.PerturbationPredictor(["mean_delta", "additive"], features=features, **KEYS).fit(adata)
    same = other.predict(query, ["P01", "P01+P02"])
    assert predicted.obs.equals(same.obs)
    assert predicted.var_names.equals(same.var_names)
    assert predicted.X.dtype == same.X.dtype
    change = predicted.uns["perturbation_predicted"]["change"]
    for row, label in enumerate(["P01", "P01+P02"]):
        mean = predicted[predicted.obs["gene"] == label].X.mean(axis=0) - query.X.mean(axis=0)
        np.testing.assert_allclose(mean, np.maximum(change[row], -query.X.mean(axis=0)), atol=1e-4)
    predicted.write_h5ad(tmp_path / "cells.h5ad")


def test_order_of_genes_cells_and_perturbed_genes_does_not_matter(
    trained: PerturbationGraph, screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray]
) -> None:
    query = controls_of(screen[0])
    expected = changes(trained, query, ["P01+P02+new0"])
    rng = np.random.default_rng(0)
    mixed = query[rng.permutation(query.n_obs), rng.permutation(query.n_vars)].copy()
    found = changes(trained, mixed, ["new0+P02+P01"])
    np.testing.assert_allclose(found[:, mixed.var_names.get_indexer(query.var_names)], expected, atol=1e-4)


def test_training_on_genes_in_another_order_gives_the_same_model(
    screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray],
) -> None:
    adata, features, _ = screen
    found = []
    for data in (adata, adata[:, ::-1].copy()):
        data.X = sparse.csr_matrix(data.X) if len(found) else data.X
        PerturbationGraph.setup_anndata(data, **KEYS)
        model = PerturbationGraph(data, features=features, width=4, n_cells=2)
        model.train(max_epochs=1, progress=False)
        found.append(changes(model, controls_of(adata), ["P01"]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_a_loaded_model_predicts_the_same_and_cannot_train(
    trained: PerturbationGraph, screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray], tmp_path: Path
) -> None:
    query, names = controls_of(screen[0]), ["P01", "new1+P02"]
    trained.save(tmp_path / "model")
    loaded = PerturbationGraph.load(tmp_path / "model")
    np.testing.assert_array_equal(trained.predict(query, names).X, loaded.predict(query, names).X)
    losses = (model.history["validation_loss"].to_numpy(dtype=float).ravel() for model in (trained, loaded))
    np.testing.assert_allclose(*losses)
    with pytest.raises(ValueError, match="a loaded model holds no rows to train on"):
        loaded.train()
    content = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps(content | {"model": "UGE"}))
    with pytest.raises(ValueError, match="holds UGE in format 1"):
        PerturbationGraph.load(tmp_path / "model")


def test_nothing_is_written_to_the_users_data_and_global_seeds_stay(
    screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray],
) -> None:
    adata, _, _ = make_screen(n_names=6)
    before, state = adata.copy(), torch.get_rng_state()
    PerturbationGraph.setup_anndata(adata, **KEYS)
    model = PerturbationGraph(adata, width=4, n_cells=0)
    model.train(max_epochs=1, progress=False)
    model.predict(adata, ["P01"])
    assert torch.equal(torch.get_rng_state(), state)
    assert list(adata.uns) == list(before.uns)
    assert adata.obs.equals(before.obs)
    np.testing.assert_array_equal(adata.X, before.X)


def test_validation_holds_out_genes_with_all_of_their_combinations(trained: PerturbationGraph) -> None:
    from scgx.model._perturbation_graph_training import held_out_rows

    split = held_out_rows(trained.adata, trained._applied, trained.perturbations, 0.2, 0, by_name=True)
    labels = trained.adata.obs["label"].to_numpy()
    train, tested = (
        {name for label in labels[rows] for name in label.split("+")} for rows in (split.train, split.validation)
    )
    assert train == set(split.known)
    assert set(split.further) == set(trained.perturbations) - train
    assert set(split.further) <= tested
    assert trained.adata.obs["is_mean"].to_numpy()[split.validation].all()
    weight = pd.Series(labels[split.all][trained.adata.obs["is_mean"].to_numpy()[split.all]]).value_counts()
    assert set(weight) == {4}  # a mean weighs as much as the four cells of its condition


class Pretrained:
    """Stands for a model with embeddings of genes in the context of cells."""

    genes = np.array([f"G{j:02d}" for j in range(1, GENES)])

    def get_gene_embeddings(self, adata: ad.AnnData, *, genes: list[str], average: bool) -> np.ndarray:
        """The mean of each gene, and a constant times its number."""
        assert average
        return np.stack([[adata[:, gene].X.mean(), float(gene[1:])] for gene in genes])


def test_embeddings_are_found_by_gene_however_they_are_given() -> None:
    adata, features, _ = make_screen(n_names=6)
    controls, genes = controls_of(adata), adata.var_names.to_numpy(dtype=str)
    values = Pretrained().get_gene_embeddings(controls, genes=list(Pretrained.genes), average=True)
    by_model = embedding_of(Pretrained(), genes, controls)
    frame = pd.DataFrame(values, index=Pretrained.genes).iloc[::-1]
    np.testing.assert_allclose(embedding_of(frame, genes, controls), by_model)
    assert by_model is not None and (by_model[0] == 0).all()  # G00 is unknown to it
    array = np.vstack([[np.nan, np.nan], values])
    np.testing.assert_allclose(embedding_of(array, genes[::-1], controls), by_model[::-1])
    PerturbationGraph.setup_anndata(adata, **KEYS)
    model = PerturbationGraph(adata, features=features, gene_embeddings=Pretrained(), width=4, n_cells=0)
    model.train(max_epochs=1, progress=False)
    other = adata.copy()
    other.X = other.X + 1  # values of control cells are not read
    np.testing.assert_allclose(changes(model, adata, ["P01"]), changes(model, other, ["P01"]))


def test_what_is_wrong_is_named(
    trained: PerturbationGraph, screen: tuple[ad.AnnData, pd.DataFrame, np.ndarray]
) -> None:
    adata, features, _ = screen
    query = controls_of(adata)
    with pytest.raises(
        KeyError, match="'P1' is not in the perturbations of the screen, nor in `features`; nearest: 'P"
    ):
        trained.predict(query, ["P1"])
    with pytest.raises(ValueError, match="has 5 of 24 genes that are needed"):
        trained.predict(query[:, :5].copy(), ["P01"])
    with pytest.raises(ValueError, match="must name perturbations; row 0 is 'none', the control"):
        trained.predict(query, ["none"])
    with pytest.raises(KeyError, match="perturbation_key='gen' is not in .obs; nearest: 'gene'"):
        PerturbationGraph.setup_anndata(adata, perturbation_key="gen", control="none")
    with pytest.raises(ValueError, match="`adata` is not set up"):
        PerturbationGraph(query)
    few = adata[adata.obs["gene"].isin(["none", "P00", "P01"])].copy()
    PerturbationGraph.setup_anndata(few, **KEYS)
    with pytest.raises(ValueError, match="has 2 perturbations beside 'none': 'P00', 'P01'; .* at least 3"):
        PerturbationGraph(few)
    PerturbationGraph.setup_anndata(adata, **KEYS)
    with pytest.raises(ValueError, match="`gene_embeddings` has shape .3, 2.; expected 24 genes × d"):
        PerturbationGraph(adata, gene_embeddings=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="`gene_embeddings` has 2 of 24 genes; at least half"):
        PerturbationGraph(adata, gene_embeddings=pd.DataFrame(np.zeros((2, 2)), index=["G00", "G01"]))
    with pytest.raises(ValueError, match="`features` must be unique"):
        PerturbationGraph(adata, features=pd.concat([features, features]))
    with pytest.raises(ValueError, match="is not trained; call `.train"):
        PerturbationGraph(adata).predict(query, ["P01"])


def test_without_features_only_names_of_the_screen_are_known() -> None:
    adata, _, _ = make_screen(n_names=6)
    PerturbationGraph.setup_anndata(adata, **KEYS)
    model = PerturbationGraph(adata, width=4, n_cells=0)
    model.train(max_epochs=1, progress=False)
    assert changes(model, adata, ["P01+P05"]).shape == (1, GENES)
    with pytest.raises(KeyError, match="'new0' is not in the perturbations of the screen; "):
        model.predict(adata, ["new0"])
