"""Orthologues from a table of the caller or from a registered one."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from scgx._core import require_key

from ._load import load

_TAXONOMY = {9606: "human_symbol", 10090: "mouse_symbol", 10116: "rat_symbol"}


def read_orthologs(orthologs: pd.DataFrame | str | None) -> pd.DataFrame | Literal["symbol"] | None:
    """Resolve the ``orthologs`` argument of the verbs between species.

    Parameters
    ----------
    orthologs
        A table, which is returned as it is; ``"symbol"`` (equal symbols, case ignored) and ``None`` likewise; or the
        name of a table of ``scgx.datasets.load("orthologs")``, in full or its beginning, for example ``"one2one"``.

    Returns
    -------
    What :func:`scgx._core.ortholog_pairs` takes, or ``None``.

    Raises
    ------
    KeyError
        If no table, or more than one, has this name.
    TypeError
        If it is neither a table nor a name.
    """
    if orthologs is None or isinstance(orthologs, pd.DataFrame):
        return orthologs
    if not isinstance(orthologs, str):
        raise TypeError(f"orthologs is a {type(orthologs).__name__}, expected a DataFrame, a name or None")
    if orthologs == "symbol":
        return "symbol"
    tables: Any = load("orthologs")
    named = [name for name in tables if name.startswith(orthologs)] if orthologs else []
    if len(named) != 1:
        require_key([*tables, "symbol"], orthologs, "scgx.datasets.load('orthologs')", "orthologs")
    table = tables[named[0]]
    return _one_column_a_species(table) if "Taxonomy" in table else table


def _one_column_a_species(table: pd.DataFrame) -> pd.DataFrame:
    """HomoloGene has a row a gene and a number a group."""
    wide = table[["HID"]].drop_duplicates()
    for taxonomy, name in _TAXONOMY.items():
        genes = table.loc[table["Taxonomy"] == taxonomy, ["HID", "Gene.Symbol"]].rename(columns={"Gene.Symbol": name})
        wide = wide.merge(genes, on="HID", how="left")
    return wide.drop(columns="HID")
