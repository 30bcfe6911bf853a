"""Responses of a query species and of reference species, on the same conditions and genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from .arrays import dense_rows, layer_or_x, require_finite
from .errors import examples, require_key, require_unique
from .orthologs import ortholog_pairs


@dataclass(frozen=True)
class MatchedResponses:
    """Arrays over c shared conditions and g query genes with a partner in the reference."""

    query: NDArray[np.float32]
    """c × g, NaN where not measured."""
    reference: NDArray[np.float32]
    """species × c × g, mean over the partners of a gene, NaN where not measured."""
    features: NDArray[np.float32]
    """g × f."""
    rows: NDArray[np.intp]
    """Row of the query of each condition."""
    genes: NDArray[np.intp]
    """Position among the query's genes of each gene."""
    groups: NDArray[np.intp]
    """Orthologue group of each gene: genes that share a partner."""
    species: list[str]
    """Names of the reference species."""
    report: dict[str, int | str]
    """Genes and conditions found and left out."""


def match_responses(
    query: AnnData,
    reference: AnnData,
    *,
    orthologs: pd.DataFrame | Literal["symbol"] | None,
    on: Sequence[str],
    species_key: str | None,
    features: str | None,
    layer: str | None,
) -> MatchedResponses:
    """Bring the responses of two objects to shared conditions and genes.

    Parameters
    ----------
    query, reference
        Conditions × genes, fold changes, NaN where not measured.
    orthologs
        What :func:`ortholog_pairs` takes; ``None`` pairs equal ``.var_names``.
    on
        ``.obs`` columns of both that name a condition.
    species_key
        ``.obs`` column of the reference with the species of each row; ``None``: one species.
    features
        Key of ``query.varm`` with features of genes.
    layer
        Layer of both; ``None`` for ``.X``.

    Raises
    ------
    KeyError
        If a column, a key or a layer is missing.
    ValueError
        If a condition occurs twice, no condition is shared, no gene has a partner, or a value is infinite.
    """
    on = [on] if isinstance(on, str) else list(on)
    conditions = _labels(query, on, "query")
    species = _species(reference, species_key)
    names = list(dict.fromkeys(species))
    of_reference = _labels(reference, on, "reference")
    _require_once(conditions, "query", on)
    for name in names:
        _require_once(of_reference[species == name], f"reference, species {name!r}", on)
    rows = np.flatnonzero(conditions.isin(of_reference))
    if not len(rows):
        raise ValueError(
            f"no condition is in both query and reference: compared on={on}, the query has "
            f"{examples(conditions, 3)}, the reference {examples(of_reference.unique(), 3)}; bring names to the same "
            "spelling, or name other columns in `on`."
        )
    weights, report = _partners(query.var_names, reference.var_names, orthologs)
    genes = np.flatnonzero(np.diff(weights.indptr))
    weights = weights[genes]
    values = dense_rows(layer_or_x(reference, layer))
    require_finite(values, "reference", allow_nan=True)
    measured = dense_rows(layer_or_x(query, layer))
    require_finite(measured, "query", allow_nan=True)
    stack = np.full((len(names), len(rows), len(genes)), np.nan, dtype=np.float32)
    averaged = _partner_mean(values, weights)
    for s, name in enumerate(names):
        own = np.flatnonzero(species == name)
        position = of_reference[own].get_indexer(conditions[rows])
        stack[s, position >= 0] = averaged[own[position[position >= 0]]]
    return MatchedResponses(
        query=measured[np.ix_(rows, genes)],
        reference=stack,
        features=_features(query, features)[genes],
        rows=rows,
        genes=genes,
        groups=connected_components(weights @ weights.T, directed=False)[1].astype(np.intp),
        species=names,
        report=report | {"n_conditions": len(rows), "n_conditions_without_partner": query.n_obs - len(rows)},
    )


def _labels(adata: AnnData, on: list[str], side: str) -> pd.Index:
    for column in on:
        require_key(adata.obs.columns, column, f"{side}.obs", "on")
    return pd.Index([", ".join(row) for row in adata.obs[on].astype(str).itertuples(index=False, name=None)])


def _species(reference: AnnData, species_key: str | None) -> NDArray[Any]:
    if species_key is None:
        return np.full(reference.n_obs, "reference", dtype=object)
    require_key(reference.obs.columns, species_key, "reference.obs", "species_key")
    return reference.obs[species_key].astype(str).to_numpy(dtype=object)


def _require_once(labels: pd.Index, side: str, on: list[str]) -> None:
    if not labels.is_unique:
        twice = labels[labels.duplicated()].unique()
        raise ValueError(
            f"conditions of the {side} must occur once, but {len(twice)} of on={on} occur more than once: "
            f"{examples(twice, 3)}; average their rows, add columns to `on`, or name the species in `species_key`."
        )


def _partners(
    query: pd.Index, reference: pd.Index, orthologs: pd.DataFrame | Literal["symbol"] | None
) -> tuple[sparse.csr_matrix, dict[str, int | str]]:
    """Query genes × reference genes, 1 for each partner."""
    if orthologs is None:
        require_unique(query, "query.var_names")
        require_unique(reference, "reference.var_names")
        found = reference.get_indexer(query)
        own, partner = np.flatnonzero(found >= 0), found[found >= 0]
        if not len(own):
            raise ValueError(
                f"no gene is in both query ({examples(query, 3)}) and reference ({examples(reference, 3)}): give "
                "`orthologs`, or bring both to the same identifiers."
            )
        report: dict[str, int | str] = {"n_query": len(query), "n_reference": len(reference), "n_pairs": len(own)}
        report |= {"n_one_to_one": len(own), "n_query_without_partner": len(query) - len(own)}
    else:
        pairs = ortholog_pairs(query, reference, orthologs, one_to_one=False)
        own, partner, report = pairs.query, pairs.reference, pairs.report
    ones = np.ones(len(own), dtype=np.float32)
    return sparse.csr_matrix((ones, (own, partner)), shape=(len(query), len(reference))), report


def _partner_mean(values: NDArray[np.float32], weights: sparse.csr_matrix) -> NDArray[np.float32]:
    """Mean over the measured partners of each gene, rows × genes."""
    measured = np.isfinite(values)
    total = (weights @ np.where(measured, values, 0).T).T
    count = (weights @ measured.astype(np.float32).T).T
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _features(query: AnnData, key: str | None) -> NDArray[np.float32]:
    if key is None:
        return np.empty((query.n_vars, 0), dtype=np.float32)
    require_key(query.varm.keys(), key, "query.varm", "features")
    values = query.varm[key]
    features = dense_rows(values.to_numpy() if isinstance(values, pd.DataFrame) else values)
    require_finite(features, f"query.varm[{key!r}]", allow_nan=True)
    return features
