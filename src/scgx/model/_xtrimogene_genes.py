"""Genes that :class:`scgx.model.XTrimoGene` was not trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from anndata import AnnData
from scipy import sparse
from torch import Tensor

from scgx._core import examples, require_unique
from scgx.model._xtrimogene_cells import Block
from scgx.model._xtrimogene_setup import Vocabulary
from scgx.module import XTrimoGeneModule

_GENES_AT_A_TIME = 512


def with_genes(vocabulary: Vocabulary, adata: AnnData, names: Sequence[str] | None) -> Vocabulary:
    """The vocabulary with genes of ``adata`` that it lacks behind its own.

    Raises
    ------
    ValueError
        If names are doubled, known already or not in ``adata``, or there is nothing new.
    """
    require_unique(adata.var_names, "adata.var_names")
    known = set(vocabulary.genes.tolist())
    new = [name for name in adata.var_names if name not in known] if names is None else list(names)
    missing = [name for name in new if name not in adata.var_names]
    old = [name for name in new if name in known]
    if missing or old or not new or len(set(new)) < len(new):
        raise ValueError(
            f"`names` must be different genes of `adata` that the model lacks; found {len(new)} names, {len(missing)} not in "
            f"`adata` ({examples(missing, 3)}), {len(old)} known ({examples(old, 3)})."
        )
    return replace(vocabulary, genes=np.concatenate([vocabulary.genes, new]))


def nearest_genes(block: Block, n_known: int, n_genes: int, k: int) -> np.ndarray:
    """Numbers of the ``k`` known genes whose values over cells correlate best with each new one, new × k.

    Parameters
    ----------
    block
        Cells with known and new genes.
    n_known
        Known genes; new ones have the numbers behind.
    n_genes
        All of them.
    k
        Neighbours.
    """
    X = sparse.csr_matrix((block.values, block.genes, block.start), shape=(len(block.lengths), n_genes), dtype=float)
    n, mean = X.shape[0], np.asarray(X.mean(axis=0)).ravel()
    deviation = np.sqrt(np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2).clip(min=1e-8)
    columns, nearest = X.tocsc(), []
    known = columns[:, :n_known]
    for start in range(n_known, n_genes, _GENES_AT_A_TIME):
        part = slice(start, min(start + _GENES_AT_A_TIME, n_genes))
        product = np.asarray((columns[:, part].T @ known).todense()) / n
        correlation = (product - np.outer(mean[part], mean[:n_known])) / np.outer(deviation[part], deviation[:n_known])
        correlation[:, deviation[:n_known] <= 1e-6] = -np.inf  # not expressed here: says nothing
        nearest.append(np.argsort(-correlation, axis=1)[:, :k])
    return np.concatenate(nearest)


def extended(module: XTrimoGeneModule, block: Block, n_genes: int, n_neighbors: int) -> XTrimoGeneModule:
    """A module with further genes, whose embeddings start from their neighbours' mean; ``module`` is left alone.

    Parameters
    ----------
    module
        Trained.
    block
        Cells with known and new genes.
    n_genes
        Genes in all.
    n_neighbors
        Known genes to average.
    """
    config = module.network.config
    nearest = torch.from_numpy(nearest_genes(block, config.n_genes, n_genes, n_neighbors))
    weights = {name: weight.cpu() for name, weight in module.state_dict().items()}
    count = np.bincount(block.genes, minlength=n_genes)
    total = np.bincount(block.genes, weights=block.values, minlength=n_genes)
    share = torch.from_numpy(count / len(block.lengths)).clamp(1e-4, 1 - 1e-4)
    here = share[: config.n_genes]
    presence = share.logit() - here.mean().logit()
    value = torch.from_numpy(np.where(count > 0, total / count.clip(min=1), total.sum() / count.sum()))
    table = weights["network.encoder.gene.weight"]
    added: dict[str, Tensor] = {
        "network.encoder.gene.weight": table[nearest].mean(1),
        "network.head.presence": presence[config.n_genes :],
        "network.head.value": value[config.n_genes :],
    }
    for name, rows in added.items():
        weights[name] = torch.cat([weights[name], rows.to(weights[name])])
    n_labels = 0 if module.label_head is None else module.label_head.out_features
    with torch.device("meta"):
        larger = XTrimoGeneModule(replace(config, n_genes=n_genes), n_labels=n_labels)
    larger.load_state_dict(weights, assign=True)
    larger.task = module.task
    return larger.to(module.device).eval()
