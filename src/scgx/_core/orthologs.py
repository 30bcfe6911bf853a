"""Which gene of one species belongs to which gene of another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import examples, require_unique

_OTHER = 1.02


@dataclass(frozen=True)
class GenePairs:
    """Orthologues by position, one entry a pair, in the order of the query's genes."""

    query: NDArray[np.intp]
    """Positions among the query's genes."""
    reference: NDArray[np.intp]
    """Positions among the reference's genes."""
    report: dict[str, int | str]
    """What was found and what was left out."""


def ortholog_pairs(
    query_names: Iterable[str],
    reference_names: Iterable[str],
    orthologs: pd.DataFrame | Literal["symbol"],
    *,
    one_to_one: bool = True,
) -> GenePairs:
    """Pair the genes of two species.

    Parameters
    ----------
    query_names, reference_names
        Gene identifiers of the two sides, each once.
    orthologs
        One row a pair (or group) of orthologues with one or several columns of identifiers a species: symbols,
        Ensembl, Entrez. For each side the column that holds most of its names is taken. An Ensembl version
        (``".14"``) is ignored. ``"symbol"`` pairs equal symbols, case ignored.
    one_to_one
        Leave out genes that have several partners among the genes present.

    Returns
    -------
    Positions of the pairs, and a report: ``n_query``, ``n_reference``, ``n_pairs`` (returned), ``n_one_to_one``,
    ``n_one_to_many`` (pairs of a gene with several partners), ``n_query_without_partner``, ``query_column``,
    ``reference_column``.

    Raises
    ------
    ValueError
        If names occur twice, no column holds any of them, or there is no pair.
    """
    query, reference = pd.Index(list(query_names), dtype=object), pd.Index(list(reference_names), dtype=object)
    require_unique(query, "the query's gene names")
    require_unique(reference, "the reference's gene names")
    if isinstance(orthologs, pd.DataFrame):
        query_column, reference_column, pairs = _from_table(query, reference, orthologs)
    elif orthologs == "symbol":
        query_column = reference_column = "symbol"
        pairs = _positions(query.str.upper(), "query").merge(_positions(reference.str.upper(), "reference"), on="id")
    else:
        raise ValueError(f"orthologs={orthologs!r}, expected a DataFrame of gene identifiers or 'symbol'")
    pairs = pairs[["query", "reference"]].drop_duplicates().sort_values(["query", "reference"])
    if pairs.empty:
        raise ValueError(
            f"no gene of the query is an orthologue of a gene of the reference, by {query_column!r} and "
            f"{reference_column!r}: the query has {examples(query, 3)}, the reference {examples(reference, 3)}; "
            "pass orthologs= with a column of each side's identifiers in the same row"
        )
    several = pairs["query"].duplicated(keep=False) | pairs["reference"].duplicated(keep=False)
    kept = pairs[~several] if one_to_one else pairs
    return GenePairs(
        query=kept["query"].to_numpy(np.intp),
        reference=kept["reference"].to_numpy(np.intp),
        report={
            "n_query": len(query),
            "n_reference": len(reference),
            "n_pairs": len(kept),
            "n_one_to_one": int((~several).sum()),
            "n_one_to_many": int(several.sum()),
            "n_query_without_partner": len(query) - pairs["query"].nunique(),
            "query_column": query_column,
            "reference_column": reference_column,
        },
    )


def _from_table(query: pd.Index, reference: pd.Index, orthologs: pd.DataFrame) -> tuple[str, str, pd.DataFrame]:
    ids = {str(column): _identifiers(orthologs[column]) for column in orthologs}
    query, reference = _identifiers(query), _identifiers(reference)
    query_counts = _counts(query, ids, "query")
    reference_counts = _counts(reference, ids, "reference")
    # symbols of two species are much alike: columns of the same species must hold clearly more than different ones
    query_column, reference_column = max(
        ((q, r) for q in ids for r in ids),
        key=lambda pair: (query_counts[pair[0]] + reference_counts[pair[1]]) * (1 if pair[0] == pair[1] else _OTHER),
    )
    table = pd.DataFrame({"query_id": ids[query_column], "reference_id": ids[reference_column]}).dropna()
    pairs = table.merge(_positions(query, "query"), left_on="query_id", right_on="id")
    return (
        query_column,
        reference_column,
        pairs.merge(_positions(reference, "reference"), left_on="reference_id", right_on="id"),
    )


def _identifiers(values: pd.Series | pd.Index) -> pd.Index:
    """Text, or NaN; an Entrez number that had gaps beside it was read as 29974.0."""
    codes, unique = pd.factorize(np.asarray(values, dtype=object))
    names = np.array([*map(_identifier, unique), np.nan], dtype=object)
    return pd.Index(names[codes], dtype=object)


def _identifier(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = str(value).strip()
    return name.partition(".")[0] if name.startswith("ENS") else name  # "ENSG00000268895.6" has a version


def _counts(names: pd.Index, ids: dict[str, pd.Index], side: str) -> dict[str, int]:
    counts = {column: int(names.isin(values.dropna()).sum()) for column, values in ids.items()}
    if not any(counts.values()):
        raise ValueError(
            f"no column of orthologs holds any of the {len(names)} gene names of the {side} (names like "
            f"{examples(names, 3)}); found {counts}: pass a table with the identifiers that .var_names holds"
        )
    return counts


def _positions(ids: pd.Index, name: str) -> pd.DataFrame:
    return pd.DataFrame({"id": ids, name: np.arange(len(ids))}).dropna()
