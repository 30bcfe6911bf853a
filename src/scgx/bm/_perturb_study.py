from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import dense_rows, examples, layer_or_x, require_finite
from scgx._core.perturbation_cells import (
    PerturbationColumns,
    condition_arguments,
    perturbation_table,
    set_means,
    sort_cells,
)
from scgx.estimators import Conditions
from scgx.metrics import split_controls


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
    left_out
        Perturbations that were left out, as something in them has no features.
    """

    X: np.ndarray
    cells: list[np.ndarray]
    controls: list[np.ndarray]
    unit: np.ndarray
    table: pd.DataFrame
    conditions: Conditions
    mean: np.ndarray
    replicate: np.ndarray
    left_out: list[str]

    def control_halves(self, seed: int | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Control rows of each unit: half for the truth, half for the prediction; all for both without a seed."""
        if seed is None:
            return self.controls, self.controls
        halves = [split_controls(rows, seed=seed) for rows in self.controls]
        return [first for first, _ in halves], [second for _, second in halves]

    def control_profile(self, rows: list[np.ndarray]) -> np.ndarray:
        """Mean profile of some control rows of each unit, spread to conditions × genes."""
        return set_means(self.X, rows)[self.unit]


def read_study(
    adata: AnnData, columns: PerturbationColumns, *, features: pd.DataFrame | None, layer: str | None
) -> Study:
    """Sort cells into conditions: perturbation × context × design × dose × group.

    Raises
    ------
    KeyError, ValueError
        As :func:`scgx.bm.perturb`.
    """
    table = perturbation_table(adata, columns)
    left_out = _without_features(table, features)
    sorted_cells = sort_cells(table[~table["label"].isin(left_out)])
    first = sorted_cells.table
    X = dense_rows(layer_or_x(adata, layer))
    require_finite(X, "adata.X" if layer is None else f"adata.layers[{layer!r}]")
    control = set_means(X, sorted_cells.controls)[sorted_cells.unit]
    conditions = Conditions(control=control, **condition_arguments(first, columns, features))
    return Study(
        X=X,
        cells=sorted_cells.cells,
        controls=sorted_cells.controls,
        unit=sorted_cells.unit,
        table=first,
        conditions=conditions,
        mean=set_means(X, sorted_cells.cells),
        replicate=table["replicate"].to_numpy(dtype=str),
        left_out=left_out,
    )


def _without_features(table: pd.DataFrame, features: pd.DataFrame | None) -> list[str]:
    """Labels with a name that ``features`` lacks; warns of them."""
    if features is None:
        return []
    known = set(features.index)
    described = table["names"].map(known.issuperset)
    lost, kept = (sorted(set(table["label"][rows]) - {""}) for rows in (~described, described))
    if not kept:
        raise ValueError(f"`features` has none of the perturbations; these are {examples(lost)}; give one row a name")
    if lost:
        warnings.warn(
            f"`features` lacks a name in {len(lost)} of {len(lost) + len(kept)} perturbations, which are left out of the "
            f"benchmark: {examples(lost)}.",
            stacklevel=4,
        )
    return lost
