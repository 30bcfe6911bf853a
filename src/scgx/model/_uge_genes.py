"""Genes that :class:`scgx.model.UGE` was not trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor, nn

from scgx._core import check_source, dense_rows, examples, layer_or_x, require_unique
from scgx._core.orthologs import ortholog_pairs
from scgx.model._species import Orthologs, Vocabulary
from scgx.model._uge_predict import UGEPredictions
from scgx.module import UGEModule


def orthologue_columns(
    names: np.ndarray, species: str, vocabulary: Vocabulary, orthologs: Orthologs | None
) -> np.ndarray:
    """Column of each gene's orthologue in another species, −1 where none is known."""
    columns = np.full(len(names), -1)
    for other in vocabulary.species:
        if orthologs is None or other == species:
            continue
        try:
            pairs = ortholog_pairs(names, vocabulary.names[other], orthologs)
        except ValueError:  # no pair with this species
            continue
        free = columns[pairs.query] < 0
        columns[pairs.query[free]] = vocabulary.columns[other][pairs.reference[free]]
    return columns


def added_embeddings(
    model: UGEPredictions,
    adata: AnnData,
    names: np.ndarray,
    values: Tensor,
    species: str,
    orthologs: Orthologs | None,
    n_neighbors: int,
) -> Tensor:
    """First embeddings of new genes: of the orthologue, or of the nearest known genes; see :meth:`UGE.add_genes`."""
    vocabulary, table = model._vocabulary, model.module.network.gene.weight.detach()
    known = np.isin(vocabulary.names[species], adata.var_names)
    at = torch.from_numpy(vocabulary.columns[species][known]).to(table.device)
    expression = measured_values(adata, model._setup.layer, vocabulary.names[species][known])
    embeddings = neighbor_embeddings(values.to(table.device), expression.to(table.device), table[at], n_neighbors)
    columns = orthologue_columns(names, species, vocabulary, orthologs)
    embeddings[columns >= 0] = table[torch.from_numpy(columns[columns >= 0]).to(table.device)]
    return embeddings


def neighbor_embeddings(new: Tensor, known: Tensor, embeddings: Tensor, n_neighbors: int) -> Tensor:
    """Mean embedding of the known genes whose profiles over rows correlate best, new genes × d.

    Parameters
    ----------
    new, known
        Values, rows × genes, without gaps.
    embeddings
        Of the known genes, known × d.
    n_neighbors
        Genes to average.
    """
    unit_new, unit_known = (nn.functional.normalize(x - x.mean(0), dim=0) for x in (new, known))
    nearest = (unit_new.T @ unit_known).topk(min(n_neighbors, known.shape[1]), dim=1).indices
    return embeddings[nearest].mean(1)


def new_genes(adata: AnnData, species: str, vocabulary: Vocabulary, names: Sequence[str] | None) -> np.ndarray:
    """Names of ``adata`` that the species' vocabulary lacks.

    Raises
    ------
    ValueError
        If names are doubled, known already or not in ``adata``, or there is nothing new.
    """
    require_unique(adata.var_names, "`adata.var_names`")
    known = set(vocabulary.names[species])
    if names is None:
        names = [name for name in adata.var_names if name not in known]
    missing = [name for name in names if name not in adata.var_names]
    old = [name for name in names if name in known]
    if missing or old or not names:
        raise ValueError(
            f"`names` must be genes of `adata` that the model lacks in {species!r}; found {len(names)} names, "
            f"{len(missing)} not in `adata` ({examples(missing, 3)}), {len(old)} known ({examples(old, 3)})."
        )
    return np.array(names, dtype=str)


def measured_values(adata: AnnData, layer: str | None, names: np.ndarray) -> Tensor:
    """Values of some genes, rows × genes; gaps are the gene's mean."""
    values = dense_rows(layer_or_x(adata, layer), columns=adata.var_names.get_indexer(pd.Index(names)))
    check_source(values, np.arange(len(values)))
    x = torch.from_numpy(values)
    return torch.where(x.isnan(), x.nanmean(0), x).nan_to_num()


def extended(module: UGEModule, number: int, new: Tensor, embeddings: Tensor) -> UGEModule:
    """A module with further genes behind the old ones, whose embeddings are given (genes × d).

    Parameters
    ----------
    module
        Trained; is left alone.
    number
        Number of the species.
    new
        Values of the new genes, rows × genes, from which centre and spread come.
    embeddings
        Their embeddings.
    """
    config = replace(module.network.config, n_genes=module.network.config.n_genes + len(embeddings))
    n_outputs = 0 if module.head is None else module.head.out_features
    larger = UGEModule(config, **module.options, n_outputs=n_outputs)
    weights = module.state_dict()
    weights["network.gene.weight"] = torch.cat([weights["network.gene.weight"], embeddings])
    center = torch.full((config.n_species, len(embeddings)), torch.nan)
    spread = torch.ones_like(center)
    deviation = new.std(0, correction=0)
    center[number], spread[number] = new.mean(0), deviation + deviation.median().clamp(min=1e-6)
    for name, columns in (("center", center), ("spread", spread)):
        weights[name] = torch.cat([weights[name], columns.to(weights[name])], 1)
    larger.load_state_dict(weights)
    larger.task = module.task
    return larger.to(module.device).eval()
