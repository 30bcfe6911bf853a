"""Measured perturbations as arrays, from the AnnData that a predictor learns from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import by_rows, layer_or_x, require_finite, require_unique
from scgx._core.perturbation_cells import (
    PerturbationCells,
    PerturbationColumns,
    condition_arguments,
    perturbation_table,
    set_means,
    sort_cells,
)
from scgx.estimators import Conditions
from scgx.metrics import split_controls
from scgx.selection import MeasuredResponses

#: random divisions of the control cells in which responses are tested
_DIVISIONS = 2


@dataclass(frozen=True)
class Reference:
    """What a predictor learns from.

    Attributes
    ----------
    genes
        Gene names, sorted: the order of genes in the data does not matter.
    measured
        Their profiles by condition.
    smiles
        SMILES of the perturbations measured alone; empty without ``smiles_key``.
    """

    genes: np.ndarray
    measured: MeasuredResponses
    smiles: dict[str, str]


def read_reference(
    adata: AnnData, columns: PerturbationColumns, *, features: pd.DataFrame | None, layer: str | None, seed: int
) -> Reference:
    """Sort cells into conditions and take means; no more than the cells of one condition are made dense at a time.

    Raises
    ------
    KeyError
        If a column, layer or key is missing.
    ValueError
        If names are doubled, there are no controls in a context, a value is not finite, a dose not positive or a
        SMILES cannot be read.
    """
    require_unique(adata.var_names, "`reference.var_names`")
    table = perturbation_table(adata, columns)
    # halves are drawn by name, not by place: the order of cells does not matter
    by_name = table.iloc[np.argsort(adata.obs_names.to_numpy(dtype=str), kind="stable")]
    cells = sort_cells(by_name, min_controls=1)
    first = cells.table
    arguments = condition_arguments(first, columns, features)
    genes = adata.var_names.to_numpy(dtype=str)
    order = np.argsort(genes, kind="stable")
    X = by_rows(layer_or_x(adata, layer))
    mean, control = set_means(X, cells.cells)[:, order], set_means(X, cells.controls)[:, order]
    require_finite(np.vstack([mean, control]), "the mean profiles of `reference` by condition")
    measured = MeasuredResponses(
        Conditions(control=control[cells.unit], **arguments),
        mean,
        cells.unit,
        controls=_divided_controls(X, cells, seed)[..., order],
        halves=_halves(X, cells, seed)[..., order],
    )
    alone = first[first["names"].map(len) == 1]
    smiles = dict(zip(alone["names"].str[0], alone["smiles"], strict=True)) if columns.smiles else {}
    return Reference(genes[order], measured, smiles)


def _divided_controls(X: Any, cells: PerturbationCells, seed: int) -> np.ndarray:
    """Divisions × 2 × units × genes; no division where a unit has one control cell."""
    if min(map(len, cells.controls)) < 2:
        return np.empty((0, 2, len(cells.controls), X.shape[1]))
    divisions = []
    for division in range(_DIVISIONS):
        own_seed = int(np.random.SeedSequence([seed, division]).generate_state(1)[0])
        halves = [split_controls(np.arange(len(rows)), seed=own_seed) for rows in cells.controls]
        divisions.append(
            [
                set_means(X, [rows[half[side]] for rows, half in zip(cells.controls, halves, strict=True)])
                for side in (0, 1)
            ]
        )
    return np.array(divisions)


def _halves(X: Any, cells: PerturbationCells, seed: int) -> np.ndarray:
    """2 × conditions × genes; NaN for a condition of one cell."""
    halves = np.full((2, len(cells.cells), X.shape[1]), np.nan)
    several = [row for row, rows in enumerate(cells.cells) if len(rows) > 1]
    split = [split_controls(np.arange(len(cells.cells[row])), seed=seed) for row in several]
    for side in (0, 1) if several else ():
        halves[side, several] = set_means(
            X, [cells.cells[row][half[side]] for row, half in zip(several, split, strict=True)]
        )
    return halves
