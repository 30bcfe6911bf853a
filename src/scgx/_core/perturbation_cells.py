"""Cells of a perturbation study, sorted into conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .arrays import dense_rows
from .errors import examples, require_key
from .molecules import morgan_fingerprints

_OPTIONAL = ("context", "group", "dose", "smiles", "replicate")
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class PerturbationColumns:
    """Which ``.obs`` columns say what was done to a cell; see :func:`scgx.bm.perturb`."""

    perturbation: str
    control: str
    separator: str | None = None
    context: str | None = None
    group: str | None = None
    dose: str | None = None
    smiles: str | None = None
    replicate: str | None = None
    design: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Argument → column, of those given."""
        keys = {f"{name}_key": getattr(self, name) for name in ("perturbation", *_OPTIONAL)}
        keys |= {f"design_keys[{i}]": key for i, key in enumerate(self.design)}
        return {argument: key for argument, key in keys.items() if key is not None}

    def names(self, label: str) -> tuple[str, ...]:
        """What a label applies together, sorted; empty for controls: "KLF1+control" is KLF1 alone, order means nothing."""
        parts = label.split(self.separator) if self.separator else [label]
        return tuple(sorted({part.strip() for part in parts} - {self.control}))


@dataclass(frozen=True)
class PerturbationCells:
    """Rows of a study by condition: perturbation × context × design × dose × group.

    Attributes
    ----------
    table
        One row a condition: ``names``, ``label``, ``context``, ``unit``, ``group``, ``dose``, ``smiles``; empty text where
        there is no such key.
    cells
        Rows of each condition.
    unit
        Unit of each condition: a context, or one of its plates or vehicles.
    controls
        Rows of the control cells of each unit.
    """

    table: pd.DataFrame
    cells: list[np.ndarray]
    unit: np.ndarray
    controls: list[np.ndarray]


def perturbation_table(adata: AnnData, columns: PerturbationColumns) -> pd.DataFrame:
    """One row a cell: what was done to it, as text; empty where there is no column for it.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If there are no controls or nothing but controls.
    """
    for argument, key in columns.named().items():
        require_key(adata.obs.columns, key, ".obs", argument)
    values = adata.obs[columns.perturbation].astype(str)
    of_label = {label: columns.names(label) for label in values.unique()}
    names = [of_label[label] for label in values]
    if all(names) or not any(names):
        raise ValueError(
            f".obs[{columns.perturbation!r}] must hold `control`={columns.control!r} and perturbations; it has "
            f"{examples(sorted(set(values)))}"
        )
    table = pd.DataFrame({"names": names, "label": [(columns.separator or "").join(cell) for cell in names]})
    for name in _OPTIONAL:
        key = getattr(columns, name)
        table[name] = "" if key is None else adata.obs[key].astype(str).to_numpy()
    table["unit"] = table["context"]
    for key in columns.design:
        table["unit"] += " " + adata.obs[key].astype(str).to_numpy()
    table.loc[table["label"] == "", "group"] = ""
    return table


def sort_cells(table: pd.DataFrame, *, min_controls: int = 2) -> PerturbationCells:
    """Sort cells into conditions; their order within a condition is that of the table, whose index holds the rows.

    Raises
    ------
    ValueError
        If a unit has fewer than ``min_controls`` control cells.
    """
    treated = table[table["label"] != ""]
    cells = [rows.index.to_numpy() for _, rows in treated.groupby(["label", "unit", "dose", "group"])]
    first = table.loc[[rows[0] for rows in cells]].reset_index(drop=True)
    units, unit = np.unique(first["unit"].to_numpy(dtype=str), return_inverse=True)
    untreated = table[table["label"] == ""]
    controls = [untreated.index[untreated["unit"] == name].to_numpy() for name in units]
    for name, rows in zip(units, controls, strict=True):
        if len(rows) < min_controls:
            why = ", for the truth and for the prediction" if min_controls == 2 else ""
            raise ValueError(
                f"there are {len(rows)} control cells for {str(name) or 'all perturbations'!r}; at least {min_controls} "
                f"are needed{why}. Leave it out, or give coarser `context_key` or `design_keys`."
            )
    return PerturbationCells(first, cells, unit, controls)


def set_means(X: Any, sets: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of each set of rows, sets × columns, float64; of a sparse or backed ``X`` a block at a time is made dense."""
    if isinstance(X, np.ndarray):
        return np.stack([X[rows].mean(axis=0, dtype=np.float64) for rows in sets])
    means = np.zeros((len(sets), X.shape[1]))
    for k, rows in enumerate(sets):
        for start in range(0, len(rows), _BLOCK_ROWS):
            means[k] += dense_rows(X, rows[start : start + _BLOCK_ROWS]).sum(axis=0, dtype=np.float64)
        means[k] /= len(rows)
    return means


def log_doses(doses: pd.Series, key: str) -> np.ndarray:
    """log10 of doses; ``key`` is their ``.obs`` column.

    Raises
    ------
    ValueError
        If a dose is not a positive number.
    """
    values = pd.to_numeric(doses, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(values > 0)
    if bad.any():
        raise ValueError(f".obs[{key!r}] must be a positive dose; found {examples(sorted(set(doses[bad])))}")
    return np.log10(values)


def condition_features(
    names: Iterable[tuple[str, ...]], smiles: Iterable[str], features: pd.DataFrame | None, *, has_smiles: bool
) -> np.ndarray | None:
    """Mean of the features of the names of each condition; fingerprints where there are SMILES only.

    Raises
    ------
    ValueError
        If a name has no features, ``features`` has a name twice, or a SMILES cannot be read.
    """
    if features is None:
        return morgan_fingerprints(smiles) if has_smiles else None
    rows = list(names)
    missing = sorted({name for row in rows for name in row} - set(features.index))
    if missing or not features.index.is_unique:
        what = f"lacks {examples(missing)}" if missing else "has names twice"
        raise ValueError(f"`features` {what}; give one row a name, and leave out conditions without features")
    return np.stack([features.loc[list(row)].to_numpy(dtype=np.float64).mean(axis=0) for row in rows])


def condition_arguments(
    table: pd.DataFrame, columns: PerturbationColumns, features: pd.DataFrame | None
) -> dict[str, Any]:
    """Arguments of :class:`scgx.estimators.Conditions` but ``control``, from the table of :class:`PerturbationCells`.

    Raises
    ------
    ValueError
        As :func:`log_doses` and :func:`condition_features`.
    """
    return {
        "perturbations": tuple(table["names"]),
        "context": table["context"].to_numpy(dtype=str),
        "log_dose": None if columns.dose is None else log_doses(table["dose"], columns.dose),
        "features": condition_features(
            table["names"], table["smiles"], features, has_smiles=columns.smiles is not None
        ),
        "design": table["unit"].to_numpy(dtype=str) if columns.design else None,
    }
