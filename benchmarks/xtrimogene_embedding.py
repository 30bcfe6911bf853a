"""What the embedding of XTrimoGene is worth without labels: clusters, and how batches mix in it."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from labels import BATCH, load
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from xtrimogene_training import trained

import scgx
from scgx.metrics import clustering_scores
from scgx.model import XTrimoGene

MIXED = ("pbmc_symphony", "kang2018_labelled")
COMPONENTS, NEIGHBORS = 50, 90


def components(X: Any) -> np.ndarray:
    dense = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    k = min(COMPONENTS, *np.subtract(dense.shape, 1))
    return PCA(k, svd_solver="arpack", random_state=0).fit_transform(dense)


def scaled(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(0)) / X.std(0).clip(1e-3)


def other_poolings(model: XTrimoGene, adata: AnnData) -> dict[str, np.ndarray]:
    """Summaries of a cell that the package does not offer: what would be gained by them?"""
    cells, _ = model._vocabulary.cells(adata, model._setup)
    network, genes = model.module.network, torch.arange(len(model.genes))

    def weighted(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        encoded = network.encoder(batch)
        weight = (batch["values"] * encoded.there)[..., None]
        return (encoded.tokens[:, encoded.n_extra :] * weight).sum(1) / weight.sum(1)

    log_odds = torch.zeros(1, 1)
    decoded = model._by_batch(cells, lambda batch: model.module.impute(batch, genes, log_odds), 8)
    context = model._by_batch(cells, lambda batch: model.module.context(batch, genes).flatten(1), 8)
    return {
        "mean, scaled": scaled(model.get_latent_representation(adata)),
        "mean weighted by value": model._by_batch(cells, weighted, 32),
        "context of all genes, 50 PC": components(context),
        "decoded values, 50 PC": components(decoded),
    }


def clustering(seconds: float, *, n_starts: int = 2) -> dict[str, dict[str, float]]:
    """k-means with as many clusters as types on 700 PBMC, for embeddings of equal standing: none saw a label."""
    adata = scgx.datasets.load("pbmc68k_reduced")
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    model, used = trained(adata, seconds, 0, {})
    spaces = {p: model.get_latent_representation(adata, pooling=p) for p in ("mean", "max", "both")}
    spaces |= other_poolings(model, adata)
    spaces = {f"XTrimoGene, {name}": x for name, x in spaces.items()}
    spaces["PCA-50"], spaces["PCA-50, scaled"] = components(adata.X), components(scaled(adata.X.toarray()))
    rows = {}
    for name, x in spaces.items():
        starts = [
            KMeans(len(np.unique(labels)), n_init=10, random_state=start).fit_predict(x) for start in range(n_starts)
        ]
        runs = [clustering_scores(labels, found, x) for found in starts]
        rows[name] = {score: float(np.mean([run[score] for run in runs])) for score in runs[0]}
    return rows | {"training": {name: used[name] for name in ("processor_seconds", "epochs")}}


def mixing(name: str, seconds: float) -> dict[str, dict[str, float]]:
    """Batch mixing and what is left of cell types, 1 is best: PCA, XTrimoGene told the batch or not, scVI where there are counts."""
    if importlib.util.find_spec("scib_metrics") is None:
        print("scib-metrics is not installed (extra `eval`): no table of mixing", flush=True)
        return {}
    adata, key = load(name), BATCH[name]
    batch = adata.obs[key].astype(str).to_numpy(dtype=str)
    spaces = {"PCA-50": components(adata.X), "PCA-50, scaled": components(scaled(adata.X.toarray()))}
    centred = adata.X.toarray()
    for one in np.unique(batch):
        centred[batch == one] -= centred[batch == one].mean(0)
    spaces["PCA-50, each batch centred"] = components(centred)
    for title, keys in (("XTrimoGene", ()), ("XTrimoGene with batch token", (key,))):
        model, _ = trained(adata, seconds, 0, {"batch_size": 16}, metadata_keys=keys)
        for pooling in ("mean", "max"):
            spaces[f"{title}, {pooling}"] = model.get_latent_representation(adata, pooling=pooling)
        if keys:
            untold = AnnData(adata.X, var=adata.var)
            spaces[f"{title}, not told, mean"] = model.get_latent_representation(untold)
    if "counts" in adata.layers:
        from labels_rivals import scvi_latent  # imports scvi-tools

        spaces["scVI with batch"] = scvi_latent(adata, key, 100 if seconds > 5 else 2)
    labels = adata.obs["cell_type"].astype(str).to_numpy(dtype=str)
    return {title: scib_scores(x, batch, labels) for title, x in spaces.items()}


def scib_scores(x: np.ndarray, batch: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    import scib_metrics
    from scib_metrics.nearest_neighbors import NeighborsResults

    distances, indices = NearestNeighbors(n_neighbors=NEIGHBORS).fit(x).kneighbors(x)
    near, fifteen = NeighborsResults(indices, distances), NeighborsResults(indices[:, :15], distances[:, :15])
    fifty, batches = NeighborsResults(indices[:, :50], distances[:, :50]), np.unique(batch, return_inverse=True)[1]
    kinds = np.unique(labels, return_inverse=True)[1]
    clusters = KMeans(len(np.unique(labels)), n_init=10, random_state=0).fit_predict(x)
    found = {
        "ilisi": scib_metrics.ilisi_knn(near, batches),
        "kbet": scib_metrics.kbet(fifty, batches)[0],
        "graph_connectivity": scib_metrics.graph_connectivity(fifteen, kinds),
        "clisi": scib_metrics.clisi_knn(near, kinds),
    }
    return {key: float(value) for key, value in found.items()} | clustering_scores(labels, clusters, x)
