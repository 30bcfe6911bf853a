"""Conditions that are asked for, and the cells that are predicted for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .control_cells import ControlCells, changed_cells
from .errors import examples, require_key
from .perturbation_cells import PerturbationColumns

#: name of the ``.obs`` column with the control cell that a predicted cell started from
_ORIGIN = "control_cell"


def asked_table(
    conditions: pd.DataFrame | Sequence[str], columns: PerturbationColumns, contexts: Sequence[str]
) -> pd.DataFrame:
    """One row a condition and context: ``label``, ``names``, ``context``, ``dose``, ``smiles``.

    Raises
    ------
    KeyError
        If a column is missing or a context has no control cells.
    ValueError
        If a condition is empty, the control, or there twice.
    TypeError
        If ``conditions`` is neither a DataFrame nor a sequence of names.
    """
    if isinstance(conditions, str) or not isinstance(conditions, pd.DataFrame | Sequence | np.ndarray | pd.Series):
        raise TypeError(f"`conditions` must be a DataFrame or a list of names; found {conditions!r}.")
    given = conditions if isinstance(conditions, pd.DataFrame) else pd.DataFrame({columns.perturbation: conditions})
    require_key(given.columns, columns.perturbation, "`conditions`", "perturbation_key")
    table = pd.DataFrame({"label": given[columns.perturbation].astype(str).to_numpy()})
    table["names"] = [columns.names(label) for label in table["label"]]
    none = table["label"][table["names"].map(len) == 0]
    if len(none) or not len(table):
        found = f"row {none.index[0]} is {none.iloc[0]!r}, the control" if len(none) else "there are none"
        raise ValueError(f"`conditions` must name perturbations; {found}. Control cells are always in the result.")
    for name, key in (("dose", columns.dose), ("smiles", columns.smiles)):
        if name == "dose" and key is not None:
            require_key(given.columns, key, "`conditions`", "dose_key")
        table[name] = given[key].to_numpy() if key is not None and key in given.columns else None
    if columns.context is not None and columns.context in given.columns:
        table["context"] = given[columns.context].astype(str).to_numpy()
        for context in table["context"].unique():
            require_key(contexts, context, "the contexts of the query's control cells", columns.context)
    else:
        table = table.merge(pd.DataFrame({"context": list(contexts)}), how="cross")
    twice = table[table.duplicated(["label", "context", "dose"])]
    if len(twice):
        raise ValueError(f"`conditions` has {examples(twice['label'].unique())} twice; give each condition once.")
    return table


def predicted_cells(
    query: AnnData, controls: ControlCells, table: pd.DataFrame, change: np.ndarray, columns: PerturbationColumns
) -> AnnData:
    """Control cells, then those of each condition with its change (k × g) as an AnnData of the predicted genes."""
    cells = {context: controls.cells(context) for context in controls.rows}
    blocks, obs = list(cells.values()), [_control_obs(query, controls, columns)]
    for row, delta in zip(table.to_dict("records"), change, strict=True):
        blocks.append(changed_cells(cells[row["context"]], delta, non_negative=controls.non_negative))
        origin = query.obs_names[controls.rows[row["context"]]].to_numpy(dtype=str)
        dose = "" if columns.dose is None else f"|{row['dose']}"
        values = {columns.perturbation: row["label"], columns.context: row["context"]}
        values |= {columns.dose: row["dose"], columns.smiles: row["smiles"] or ""}
        frame = pd.DataFrame(
            {key: value for key, value in values.items() if key is not None},
            index=[f"{cell}|{row['label']}{dose}" for cell in origin],
        )
        obs.append(frame.assign(**{_ORIGIN: origin}))
    joined = pd.concat(obs)
    for key in (columns.perturbation, columns.context):
        if key is not None:
            joined[key] = joined[key].astype("category")
    return AnnData(np.concatenate(blocks), obs=joined, var=query.var.iloc[controls.position].copy())


def prediction_record(
    query: AnnData, controls: ControlCells, table: pd.DataFrame, columns: PerturbationColumns, layer: str | None
) -> dict[str, Any]:
    """What every record of predicted conditions holds: what was asked, of which genes, and what the columns were."""
    genes = query.var_names.to_numpy(dtype=str)
    return {
        "perturbation": table["label"].to_numpy(dtype=str),
        "genes": genes[controls.position],
        "genes_left_out": np.delete(genes, controls.position),
        "overlap": controls.overlap,
        "cells": "decreases in proportion, increases added" if controls.non_negative else "change added",
        "perturbation_key": columns.perturbation,
        "control": columns.control,
        "separator": columns.separator or "",
        "layer": layer or "",
    }


def context_record(table: pd.DataFrame, columns: PerturbationColumns) -> dict[str, Any]:
    """Context and dose of each condition, for what is predicted by them."""
    return {
        "context": table["context"].to_numpy(dtype=str),
        "dose": pd.to_numeric(table["dose"]).to_numpy(dtype=float),
        "context_key": columns.context or "",
        "dose_key": columns.dose or "",
    }


def _control_obs(query: AnnData, controls: ControlCells, columns: PerturbationColumns) -> pd.DataFrame:
    rows = np.concatenate(list(controls.rows.values()))
    names = query.obs_names[rows].to_numpy(dtype=str)
    frame = pd.DataFrame({columns.perturbation: columns.control}, index=names)
    if columns.context is not None:
        frame[columns.context] = np.repeat(list(controls.rows), [len(some) for some in controls.rows.values()])
    if columns.dose is not None:
        given = query.obs[columns.dose].iloc[rows] if columns.dose in query.obs else pd.Series(np.nan, index=names)
        frame[columns.dose] = pd.to_numeric(given, errors="coerce").to_numpy(dtype=float)
    if columns.smiles is not None:
        frame[columns.smiles] = ""
    return frame.assign(**{_ORIGIN: names})
