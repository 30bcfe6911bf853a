"""Do attention and gene embeddings of XTrimoGene recover edges of a gene graph, and more of them than co-expression does?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from anndata import AnnData
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor
from xtrimogene_simple import cells_of

import scgx
from scgx.model import XTrimoGene
from scgx.model._xtrimogene_cells import gene_loadings
from scgx.nn._xtrimogene_attention import Layer

GRAPH, CELLS, PERMUTATIONS = "go_bp_jaccard_top20", 400, 200


def graph_of(genes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the genes that have an edge among them (n), and which pairs are edges (n × n)."""
    table = scgx.datasets.load("gene_graph")[GRAPH]
    number = {name: k for k, name in enumerate(genes)}
    known = table[table["source"].isin(number) & table["target"].isin(number)]
    linked = np.zeros((len(genes), len(genes)), dtype=bool)
    linked[known["source"].map(number), known["target"].map(number)] = True
    np.fill_diagonal(linked, False)
    linked |= linked.T
    nodes = np.flatnonzero(linked.any(0))
    return nodes, linked[np.ix_(nodes, nodes)]


@torch.inference_mode()
def attention_weights(model: XTrimoGene, adata: AnnData) -> list[np.ndarray]:
    """Of each layer: mean weight that a gene gives to another, in units of equal weights, over cells with both; both directions."""
    cells, _ = model._vocabulary.cells(adata, model._setup)
    encoder, n = model.module.network.encoder, len(model.genes)
    totals, count = [np.zeros((n, n), np.float32) for _ in encoder.layers], np.zeros((n, n), np.float32)
    for row in np.linspace(0, len(cells) - 1, min(CELLS, len(cells))).astype(int):
        batch = cells.read(np.array([row])).batch()
        at = np.ix_(batch["genes"][0].numpy(), batch["genes"][0].numpy())
        count[at] += 1
        for total, weights in zip(totals, each_layer(encoder, batch), strict=True):
            total[at] += weights
    means = [total / count.clip(1) for total in totals]
    return [np.where(count > 0, (mean + mean.T) / 2, np.median(mean[count > 0])) for mean in means]


def each_layer(encoder: Any, batch: dict[str, Tensor]) -> list[np.ndarray]:
    """Weights among the genes of one cell, mean over heads, times the number of tokens."""
    found: list[np.ndarray] = []

    def look(layer: Layer, inputs: tuple[Tensor, ...], _: Any) -> None:
        normed = layer.norm(inputs[0])
        q, k = layer.query(normed), layer.key_value(normed).chunk(2, -1)[0]
        q, k = (x.unflatten(-1, (layer.n_heads, -1)).transpose(1, 2)[0] for x in (q, k))
        weights = (q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(-1).mean(0) * q.shape[1]
        n_extra = q.shape[1] - batch["genes"].shape[1]
        found.append(weights[n_extra:, n_extra:].numpy())

    hooks = [layer.register_forward_hook(look) for layer in encoder.layers]
    encoder(batch)
    for hook in hooks:
        hook.remove()
    return found


def corrected(x: np.ndarray) -> np.ndarray:
    """Without what a gene has with all others: the average product correction of contact maps."""
    return x - x.mean(0) * x.mean(1)[:, None] / x.mean()


def cosine(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-8)
    return x @ x.T


def similarities(model: XTrimoGene, adata: AnnData) -> dict[str, np.ndarray]:
    """Genes × genes, all from the training cells without the graph."""
    dense = adata.X.toarray()
    detection = (dense > 0).mean(0)
    r = np.nan_to_num(np.corrcoef(dense, rowvar=False))
    width = model.module.network.config.size.width
    attention = attention_weights(model, adata)
    mean = sum(attention) / len(attention)
    some = adata[np.linspace(0, adata.n_obs - 1, min(CELLS, adata.n_obs)).astype(int)]
    return {
        "detection of both": np.minimum.outer(detection, detection),
        "co-expression, r": r,
        "co-expression, |r|": np.abs(r),
        "loadings of 50 PC (start of the embeddings)": cosine(
            gene_loadings(cells_of(adata), np.arange(adata.n_obs), adata.n_vars, width, 0)
        ),
        "gene embeddings": cosine(model.get_gene_embeddings()),
        "context embeddings": cosine(model.get_gene_embeddings(some, average=True)),
        **{f"attention, layer {k + 1}": weights for k, weights in enumerate(attention)},
        "attention, mean": mean,
        "attention, mean, corrected": corrected(mean),
    }


def edges(model: XTrimoGene, adata: AnnData) -> dict[str, dict[str, float]]:
    """Area under the curve of edges against all other pairs of genes that have one; what is left when genes are exchanged."""
    nodes, linked = graph_of(model.genes)
    upper = np.triu_indices(len(nodes), 1)
    truth, rng, rows = linked[upper], np.random.default_rng(0), {}
    for name, score in similarities(model, adata).items():
        score = score[np.ix_(nodes, nodes)]
        rows[name] = {
            "auroc": float(roc_auc_score(truth, score[upper])),
            "average_precision": float(average_precision_score(truth, score[upper])),
        }
        exchanged = []
        ranks = np.zeros_like(score, dtype=float)
        ranks[upper] = rankdata(score[upper], method="ordinal")
        ranks += ranks.T
        n = int(truth.sum())
        for _ in range(PERMUTATIONS):
            order = rng.permutation(len(nodes))
            total = ranks[order[upper[0]][truth], order[upper[1]][truth]].sum()
            exchanged.append((total - n * (n + 1) / 2) / (n * (len(truth) - n)))
        low, high = np.quantile(exchanged, [0.025, 0.975])
        rows[name] |= {"exchanged_low": float(low), "exchanged_high": float(high)}
    size = {"genes": len(nodes), "edges": int(truth.sum()), "share": float(truth.mean())}
    return rows | {"graph": size}
