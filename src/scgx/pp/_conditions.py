"""Conditions of a reactome and the controls that belong to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import examples, require_key

from ._controls import controls


@dataclass(frozen=True)
class Conditions:
    """Rows of each condition and of its controls."""

    table: dict[str, np.ndarray]
    """Columns ``"drug"``, ``"organ"`` and design columns, one value a condition."""
    rows: list[np.ndarray]
    """Row numbers of each condition, by the name of the row."""
    controls: list[np.ndarray | None]
    """Row numbers of each group of controls; ``[None]`` without controls."""
    control_of: np.ndarray
    """Which group belongs to each condition."""
    matched_on: list[str]
    """Columns in which a control equals its treated row."""


def find_conditions(
    adata: AnnData, drug_key: str | None, organ_key: str, control: object, design_keys: list[str]
) -> Conditions:
    """Group rows by condition and find the controls of each.

    Parameters
    ----------
    adata
        Annotated data.
    drug_key, organ_key, control, design_keys
        As in :func:`scgx.pp.reactome`.

    Raises
    ------
    KeyError
        If a column is missing or no row is a control.
    ValueError
        If a column has gaps or two uses, or a condition has no control.
    """
    names = _names(adata, drug_key, organ_key, design_keys)
    obs = pd.DataFrame({name: adata.obs[key].to_numpy() for name, key in names.items()})
    is_control = np.zeros(adata.n_obs, dtype=bool)
    if control is not None and drug_key is not None:
        is_control = controls(adata, drug_key, control)
    _require_no_gaps(obs[~is_control], names)
    if is_control.all():
        raise ValueError(f"every row is a control (.obs[{drug_key!r}] == {control!r}): there is no response to measure")

    # the order of names, not of rows, so that a seed gives the same halves however the rows are sorted
    by_name = np.argsort(adata.obs_names.to_numpy(dtype=str), kind="stable")
    groups = _groups(obs, list(names), by_name[~is_control[by_name]])
    table = {name: np.array([values[k] for values in groups]) for k, name in enumerate(names)}
    if control is None:
        none = np.zeros(len(groups), dtype=np.intp)
        return Conditions(table, list(groups.values()), [None], none, [])
    matched = ["organ"] + [name for name in design_keys if obs.loc[is_control, name].isin(table[name]).any()]
    _require_no_gaps(obs.loc[is_control, matched], names)
    pools = _groups(obs, matched, by_name[is_control[by_name]])
    columns = [list(names).index(name) for name in matched]
    wanted = [tuple(values[k] for k in columns) for values in groups]
    _require_controls(wanted, pools, [names[name] for name in matched])
    used = {values: i for i, values in enumerate(dict.fromkeys(wanted))}
    return Conditions(
        table,
        list(groups.values()),
        [pools[values] for values in used],
        np.array([used[values] for values in wanted]),
        [names[name] for name in matched],
    )


def _names(adata: AnnData, drug_key: str | None, organ_key: str, design_keys: list[str]) -> dict[str, str]:
    """Return the column of ``.obs`` for each column of the conditions."""
    keys = {
        "drug_key": [drug_key] if drug_key is not None else [],
        "organ_key": [organ_key],
        "design_keys": design_keys,
    }
    for argument, columns in keys.items():
        for column in columns:
            require_key(adata.obs, column, ".obs", argument)
    columns = [column for group in keys.values() for column in group]
    if len(set(columns)) < len(columns) or {"drug", "organ"} & (set(design_keys)):
        raise ValueError(
            f"drug_key={drug_key!r}, organ_key={organ_key!r} and design_keys={design_keys} must be different columns, and "
            "no design column may be called 'drug' or 'organ'"
        )
    first = {"organ": organ_key} if drug_key is None else {"drug": drug_key, "organ": organ_key}
    return first | {name: name for name in design_keys}


def _require_no_gaps(obs: pd.DataFrame, names: dict[str, str]) -> None:
    for name in obs:
        n_missing = int(obs[name].isna().sum())
        if n_missing:
            raise ValueError(
                f".obs[{names[str(name)]!r}] has {n_missing} missing values among the rows that need it; fill them, drop "
                "these rows or leave the column out"
            )


def _groups(obs: pd.DataFrame, columns: list[str], rows: np.ndarray) -> dict[tuple, np.ndarray]:
    """Return the row numbers of each combination of values, in the order of ``rows``, keyed by tuples."""
    positions = obs.iloc[rows].groupby(columns, sort=True, observed=True).indices
    keyed = {key if isinstance(key, tuple) else (key,): rows[position] for key, position in positions.items()}
    return dict(sorted(keyed.items(), key=lambda item: tuple(map(_sortable, item[0]))))


def _sortable(value: object) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float | np.number)
    return not is_number, float(value) if is_number else 0.0, str(value)  # type: ignore[arg-type]


def _require_controls(wanted: list[tuple], pools: dict[tuple, np.ndarray], columns: list[str]) -> None:
    alone = list(dict.fromkeys(values for values in wanted if values not in pools))
    if alone:
        shown = [", ".join(f"{c}={v}" for c, v in zip(columns, values, strict=True)) for values in alone]
        raise ValueError(
            f"{len(alone)} of {len(set(wanted))} combinations of {columns} have no control: {examples(shown)}; "
            "drop these rows, or leave a design column out of design_keys so that controls need not match in it"
        )
