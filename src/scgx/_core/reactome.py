"""A registered reactome: the responses of genes over conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .errors import examples
from .keys import ReactomeKeys


@dataclass(frozen=True)
class Reactome:
    """What :func:`scgx.pp.reactome` wrote."""

    values: NDArray[np.float32]
    """Responses, genes × conditions, NaN where not measured."""
    conditions: pd.DataFrame
    """One row a column of ``values``: ``"drug"``, ``"organ"`` and design columns (``"organ"`` alone for levels)."""
    reliability: NDArray[np.float32] | None
    """Split-half reliability of each gene, NaN without replicates; ``None`` where no column holds it."""
    record: dict[str, Any]
    """The entry of ``.uns``."""


def registered_reactome(adata: AnnData, key: str = "reactome") -> Reactome:
    """Read the reactome of an object.

    Parameters
    ----------
    adata
        Annotated data with a reactome.
    key
        The ``key_added`` of :func:`scgx.pp.reactome`.

    Raises
    ------
    KeyError
        If there is none.
    ValueError
        If matrix and conditions do not belong together.
    """
    keys = ReactomeKeys.from_key_added(key)
    if keys.varm not in adata.varm or "conditions" not in adata.uns.get(keys.uns, {}):
        raise KeyError(
            f"no reactome under {key!r} (needs .varm[{keys.varm!r}] and .uns[{keys.uns!r}]); call `scgx.pp.reactome` first"
        )
    record = dict(adata.uns[keys.uns])
    values = np.asarray(adata.varm[keys.varm], dtype=np.float32)
    stored = record["conditions"]
    # h5ad sorts the entries of a dictionary by name
    names = sorted(stored, key=lambda name: (name != "drug", name != "organ", name))
    conditions = pd.DataFrame({name: np.asarray(stored[name]) for name in names})
    if len(conditions) != values.shape[1]:
        raise ValueError(
            f".varm[{keys.varm!r}] has {values.shape[1]} columns, .uns[{keys.uns!r}]['conditions'] {len(conditions)}: "
            "call `scgx.pp.reactome` again"
        )
    reliability = adata.var[keys.reliability].to_numpy(np.float32) if keys.reliability in adata.var else None
    return Reactome(values, conditions, reliability, record)


def shared_conditions(query: Reactome, reference: Reactome) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the conditions that both reactomes have.

    Parameters
    ----------
    query, reference
        Reactomes, of two species for example. Conditions are compared by value in the columns that both have.

    Returns
    -------
    Columns of ``query.values`` and of ``reference.values``, pair by pair, in the order of the query.

    Raises
    ------
    ValueError
        If the columns that both have do not tell the conditions of one side apart, or no condition is shared.
    """
    columns = [str(name) for name in query.conditions if name in reference.conditions]
    sides = {"query": _labels(query, columns), "reference": _labels(reference, columns)}
    for name, labels in sides.items():
        if not labels.is_unique:
            raise ValueError(
                f"the {name} has several conditions of equal {columns}, the columns that both reactomes have; "
                "call `scgx.pp.reactome` with the same design_keys on both sides"
            )
    position = sides["reference"].get_indexer(sides["query"])
    shared = np.flatnonzero(position >= 0)
    if not len(shared):
        raise ValueError(
            f"no condition is in both reactomes: compared {columns}, the query has {examples(sides['query'], 3)}, the "
            f"reference {examples(sides['reference'], 3)}; bring drug and organ names to the same spelling"
        )
    return shared, position[shared]


def _labels(reactome: Reactome, columns: list[str]) -> pd.Index:
    # an Index of tuples compares 1 and 1.0 as equal and text by value
    rows = reactome.conditions[columns].itertuples(index=False, name=None)
    return pd.Index(list(rows), tupleize_cols=False)
