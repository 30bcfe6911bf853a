from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import dense_rows, examples, layer_or_x, require_finite, require_key
from scgx._core.molecules import morgan_fingerprints
from scgx.estimators import Conditions
from scgx.metrics import split_controls

_OPTIONAL = ("context", "group", "dose", "smiles", "replicate")


@dataclass(frozen=True)
class Columns:
    """Which ``.obs`` columns say what; see :func:`scgx.bm.perturb`."""

    perturbation: str
    control: str
    separator: str | None
    context: str | None
    group: str | None
    dose: str | None
    smiles: str | None
    replicate: str | None
    design: tuple[str, ...]

    def named(self) -> dict[str, str]:
        """Argument → column, of those given."""
        keys = {f"{name}_key": getattr(self, name) for name in ("perturbation", *_OPTIONAL)}
        keys |= {f"design_keys[{i}]": key for i, key in enumerate(self.design)}
        return {argument: key for argument, key in keys.items() if key is not None}


@dataclass(frozen=True)
class Study:
    """Cells of a perturbation study by condition.

    Attributes
    ----------
    X
        Cells × genes, float32, controls among them.
    cells
        Rows of ``X`` of each condition.
    controls
        Rows of ``X`` of the control cells of each unit: a context, or one of its plates or vehicles.
    unit
        Unit of each condition.
    table
        One row a condition: ``label``, ``context``, ``group``, ``smiles``; empty text where there is no such key.
    conditions
        The same as responses take it; ``control`` is the mean of all control cells of the unit.
    mean
        Mean profile, conditions × genes.
    replicate
        Replicate of each row of ``X``; empty text without a key.
    """

    X: np.ndarray
    cells: list[np.ndarray]
    controls: list[np.ndarray]
    unit: np.ndarray
    table: pd.DataFrame
    conditions: Conditions
    mean: np.ndarray
    replicate: np.ndarray

    def control_halves(self, seed: int | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Control rows of each unit: half for the truth, half for the prediction; all for both without a seed."""
        if seed is None:
            return self.controls, self.controls
        halves = [split_controls(rows, seed=seed) for rows in self.controls]
        return [first for first, _ in halves], [second for _, second in halves]

    def control_profile(self, rows: list[np.ndarray]) -> np.ndarray:
        """Mean profile of some control rows of each unit, spread to conditions × genes."""
        return means(self.X, rows)[self.unit]


def read_study(adata: AnnData, columns: Columns, *, features: pd.DataFrame | None, layer: str | None) -> Study:
    """Sort cells into conditions: perturbation × context × design × dose × group.

    Raises
    ------
    KeyError, ValueError
        As :func:`scgx.bm.perturb`.
    """
    table = _cell_table(adata, columns)
    treated = table[table["label"] != ""]
    cells = [rows.index.to_numpy() for _, rows in treated.groupby(["label", "unit", "dose", "group"])]
    first = table.loc[[rows[0] for rows in cells]].reset_index(drop=True)
    units, unit = np.unique(first["unit"].to_numpy(dtype=str), return_inverse=True)
    controls = [np.flatnonzero((table["label"] == "") & (table["unit"] == name)) for name in units]
    for name, rows in zip(units, controls, strict=True):
        if len(rows) < 2:
            raise ValueError(
                f"there are {len(rows)} control cells for {str(name) or 'all perturbations'!r}; at least 2 are needed, for the "
                "truth and for the prediction. Leave it out, or give coarser `context_key` or `design_keys`."
            )
    X = dense_rows(layer_or_x(adata, layer))
    require_finite(X, "adata.X" if layer is None else f"adata.layers[{layer!r}]")
    conditions = Conditions(
        tuple(first["names"]),
        first["context"].to_numpy(dtype=str),
        means(X, controls)[unit],
        log_dose=None if columns.dose is None else _log_dose(first["dose"], columns.dose),
        features=_features(first, features, columns.smiles),
        design=first["unit"].to_numpy(dtype=str) if columns.design else None,
    )
    return Study(
        X=X,
        cells=cells,
        controls=controls,
        unit=unit,
        table=first,
        conditions=conditions,
        mean=means(X, cells),
        replicate=table["replicate"].to_numpy(dtype=str),
    )


def means(X: np.ndarray, rows: list[np.ndarray]) -> np.ndarray:
    """Mean of each set of rows, sets × genes, float64."""
    return np.stack([X[some].mean(axis=0, dtype=np.float64) for some in rows])


def _cell_table(adata: AnnData, columns: Columns) -> pd.DataFrame:
    """One row a cell: what was done to it, as text; empty where there is no column for it."""
    for argument, key in columns.named().items():
        require_key(adata.obs.columns, key, ".obs", argument)
    values = adata.obs[columns.perturbation].astype(str)
    parts = values.str.split(columns.separator, regex=False) if columns.separator else values.map(lambda name: [name])
    # "KLF1+control" is KLF1 alone, and the order of names means nothing
    names = [tuple(sorted({part.strip() for part in cell} - {columns.control})) for cell in parts]
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


def _log_dose(doses: pd.Series, key: str) -> np.ndarray:
    values = pd.to_numeric(doses, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(values > 0)
    if bad.any():
        raise ValueError(f".obs[{key!r}] must be a positive dose; found {examples(sorted(set(doses[bad])))}")
    return np.log10(values)


def _features(first: pd.DataFrame, features: pd.DataFrame | None, smiles_key: str | None) -> np.ndarray | None:
    """Mean of the features of the names of each condition; fingerprints where there are SMILES only."""
    if features is None:
        return None if smiles_key is None else morgan_fingerprints(first["smiles"])
    missing = sorted({name for names in first["names"] for name in names} - set(features.index))
    if missing or not features.index.is_unique:
        what = f"lacks {len(missing)} perturbations: {examples(missing)}" if missing else "has names twice"
        raise ValueError(f"`features` {what}; give one row a name, and leave out conditions without features")
    return np.stack([features.loc[list(names)].to_numpy(dtype=np.float64).mean(axis=0) for names in first["names"]])
