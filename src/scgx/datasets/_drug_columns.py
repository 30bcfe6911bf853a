"""Columns that all drug screens have, from the names and units of their files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from scgx._core import require_key

Table = pd.DataFrame | str | os.PathLike[str]

# µM of one unit; the micro sign and the Greek letter are two characters
_MICROMOLAR = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "mm": 1e3}
_CATEGORIES = ("drug", "smiles", "cell_line", "plate", "mechanism")


def read_table(table: Table, argument: str) -> pd.DataFrame:
    """Return a table as it is, or read it: comma-separated if its name says so, else tab-separated."""
    if isinstance(table, pd.DataFrame):
        return table
    if not Path(table).is_file():
        raise FileNotFoundError(f"{argument}={os.fspath(table)!r} is not a file; pass a path or a DataFrame")
    separator = "," if ".csv" in Path(table).suffixes else "\t"
    return pd.read_csv(table, sep=separator, low_memory=False, dtype=str)


def find_column(table: pd.DataFrame, names: Sequence[str], where: str) -> str:
    """Return the first of the names that is a column; raise KeyError with the nearest columns if none is."""
    found = next((name for name in names if name in table.columns), None)
    if found is None:
        require_key(table.columns, names[0], where, "column")
    return str(found)


def as_text(values: pd.Series) -> pd.Series:
    """Text, ``""`` where nothing is known (LINCS writes -666 or restricted)."""
    text = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    return text.where(~text.isin(["-666", "-666.0", "na", "nan", "restricted"]), "")


def in_micromolar(dose: pd.Series, unit: pd.Series) -> np.ndarray:
    """Doses in µM; NaN where the unit is no concentration of molecules (%, ng/ml) or the dose is unknown."""
    number = pd.to_numeric(dose, errors="coerce").where(lambda x: x >= 0)
    factor = unit.astype(str).str.strip().str.lower().map(_MICROMOLAR)
    # 333.0 × 0.001 is 0.333 here and 0.33300000000000002 elsewhere: equal doses must be equal numbers
    return (number.astype(float) * factor.astype(float)).round(9).to_numpy()


def join_smiles(names: pd.Series, table: pd.DataFrame, name_column: str, where: str) -> np.ndarray:
    """SMILES of each name, ``""`` where the table has none; of two rows of one name the first that has one."""
    structure = as_text(table[find_column(table, ["canonical_smiles", "smiles", "SMILES"], where)])
    known = pd.Series(structure.to_numpy(), index=as_text(table[name_column]))
    known = known[known != ""]
    return names.map(known[~known.index.duplicated()]).fillna("").to_numpy(dtype=str)


def with_controls(obs: pd.DataFrame, is_control: np.ndarray) -> pd.DataFrame:
    """Name the controls as the verbs expect them, and store names as categories."""
    obs = obs.assign(is_control=is_control)
    obs.loc[is_control, ["drug", "smiles"]] = ["control", ""]
    obs.loc[is_control, "dose"] = 0.0
    if "mechanism" in obs:
        obs.loc[is_control, "mechanism"] = ""
    return obs.astype({name: "category" for name in _CATEGORIES if name in obs})
