from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import GeneMatch, PerturbationKeys, by_rows, examples, layer_or_x, match_genes, require_key
from scgx._core.perturbation_cells import PerturbationColumns, set_means


@dataclass(frozen=True)
class MeasuredChange:
    """A predicted condition beside its measurement, over g genes.

    Attributes
    ----------
    title, method
        The condition and what predicted it, in words.
    genes
        Names.
    measured, predicted
        Changes against control cells.
    mean
        Mean change of what was learned from; ``None`` where the record has none.
    half_width, interval
        Of the predicted change, infinite where there is no interval; its level.
    """

    title: str
    method: str
    genes: np.ndarray
    measured: np.ndarray
    predicted: np.ndarray
    mean: np.ndarray | None
    half_width: np.ndarray
    interval: float


def measured_change(
    adata: AnnData, measured: AnnData, *, key: str, perturbation: str | None, context: str | None, dose: float | None
) -> MeasuredChange:
    """Find a predicted condition in ``.uns[key]`` and its cells in ``measured``; errors as the figures' own."""
    uns = PerturbationKeys.from_key_added(key).uns
    require_key(adata.uns.keys(), uns, ".uns", "key")
    record = adata.uns[uns]
    row, condition = _condition(record, {"perturbation": perturbation, "context": context, "dose": dose})
    match, change = _measured(adata, measured, record, condition)
    mean, half = record.get("mean_change"), record.get("half_width")
    signal = "" if "signal" not in record or record["signal"][row] else ", no signal"
    return MeasuredChange(
        title=", ".join(f"{value:g}" if name == "dose" else str(value) for name, value in condition.items()),
        method=f"{np.asarray(record['method'])[row]}{signal}",
        genes=np.asarray(record["genes"], dtype=str)[match.found],
        measured=change,
        predicted=np.asarray(record["change"])[row, match.found].astype(np.float64),
        mean=None if mean is None else np.asarray(mean)[row, match.found].astype(np.float64),
        half_width=np.full(len(match.found), np.inf) if half is None else np.asarray(half)[row, match.found],
        interval=float(record.get("interval", np.nan)),
    )


def _measured(
    adata: AnnData, measured: AnnData, record: dict[str, Any], condition: dict[str, Any]
) -> tuple[GeneMatch, np.ndarray]:
    """Which predicted genes were measured, and their change."""
    genes = np.asarray(record["genes"], dtype=str)
    match = match_genes(measured.var_names, pd.Index(genes), what="`measured.var_names`")
    layer = str(record["layer"]) or None
    treated = _rows(measured, record, condition)
    if not len(treated):
        key_of_labels = str(record["perturbation_key"])
        labels = measured.obs[key_of_labels].astype(str).unique()
        require_key(labels, condition["perturbation"], f"measured.obs[{key_of_labels!r}]", "perturbation")
        raise KeyError(f"`measured` has cells of {condition['perturbation']!r}, but none with {condition}.")
    after = _profile(measured, treated, layer, match.position)
    untreated = {"perturbation": str(record["control"])}
    untreated |= {name: value for name, value in condition.items() if name == "context"}
    control = _rows(measured, record, untreated)
    if len(control):
        return match, after - _profile(measured, control, layer, match.position)
    # predicted cells have no layer, and a query of controls alone needs no column that says so
    there = {name: value for name, value in untreated.items() if record[f"{name}_key"] in adata.obs}
    control, columns = _rows(adata, record, there), adata.var_names.get_indexer(genes[match.found])
    if not len(control) or (columns < 0).any():
        raise ValueError(
            f"`measured` has no control cells with {untreated}, and `adata` has lost some or genes of the prediction; give "
            "`measured` control cells, or the object as it was predicted."
        )
    return match, after - _profile(adata, control, layer if layer in adata.layers else None, columns)


def _condition(record: dict[str, Any], asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Row of the record, and what tells its condition: those of perturbation, context and dose that it has."""
    n = len(record["perturbation"])
    table = pd.DataFrame({name: np.asarray(record[name]) for name in asked if name in record}, index=range(n))
    used = ["perturbation", *(name for name in ("context", "dose") if name in record and record.get(f"{name}_key"))]
    chosen = np.ones(n, dtype=bool)
    for name, value in asked.items():
        if value is None:
            continue
        if name not in used:
            raise ValueError(f"`{name}`={value!r} was given, but the prediction knows of no {name}; leave it out.")
        same = _same_dose(table[name], value) if name == "dose" else (table[name].astype(str) == str(value)).to_numpy()
        if not same.any():
            require_key(table[name].unique(), value, f"the predicted conditions ({name})", name)
        chosen &= same
    table = table[chosen]
    if len(table) != 1:
        rows = [" ".join(f"{name}={value!r}" for name, value in row.items()) for row in table[used].to_dict("records")]
        found = f"{len(rows)} predicted conditions: {examples(rows)}" if rows else "no such condition together"
        raise ValueError(f"there are {found}; choose one by `perturbation`, `context` and `dose`.")
    return int(table.index[0]), {name: table[name].iloc[0] for name in used}


def _rows(adata: AnnData, record: dict[str, Any], wanted: dict[str, Any]) -> np.ndarray:
    """Cells with the perturbation, context and dose that are wanted, in the columns that the prediction was told."""
    rows = np.ones(adata.n_obs, dtype=bool)
    for name, value in wanted.items():
        column = str(record[f"{name}_key"])
        require_key(adata.obs.columns, column, "measured.obs", f"the prediction's {name}_key")
        if name == "dose":
            rows &= _same_dose(adata.obs[column], value)
        elif name == "perturbation":  # names together have no order
            told = PerturbationColumns(column, str(record["control"]), str(record["separator"]) or None)
            labels = adata.obs[column].astype(str)
            same = [label for label in labels.unique() if told.names(label) == told.names(str(value))]
            rows &= labels.isin(same).to_numpy()
        else:
            rows &= (adata.obs[column].astype(str) == str(value)).to_numpy()
    return np.flatnonzero(rows)


def _same_dose(doses: pd.Series, value: float) -> np.ndarray:
    """Equal but for rounding, in any unit: doses in molar are tiny."""
    return np.isclose(pd.to_numeric(doses, errors="coerce").to_numpy(dtype=float), value, rtol=1e-5, atol=0)


def _profile(adata: AnnData, rows: np.ndarray, layer: str | None, columns: np.ndarray) -> np.ndarray:
    return set_means(by_rows(layer_or_x(adata, layer)), [rows])[0, columns]
