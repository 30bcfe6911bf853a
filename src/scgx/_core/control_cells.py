"""The control cells of a query, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .arrays import by_rows, dense_rows, layer_or_x, require_finite
from .errors import require_key
from .genes import match_genes
from .perturbation_cells import PerturbationColumns


@dataclass(frozen=True)
class ControlCells:
    """Control cells of a query by context, and which of their genes can be predicted.

    Attributes
    ----------
    rows
        Rows of the query in each context; one context without a name where the predictor knows of none.
    values
        The query's matrix.
    position, found
        Genes that are predicted: columns of the query, increasing, and their place among those of the reference (g).
    profile
        Mean profile of each context over the genes of the reference; a gene that the query lacks has the reference's mean.
    overlap
        Share of the reference's genes that the query has.
    non_negative
        Whether no control cell has a value below 0.
    """

    rows: dict[str, np.ndarray]
    values: Any
    position: np.ndarray
    found: np.ndarray
    profile: dict[str, np.ndarray]
    overlap: float
    non_negative: bool

    def cells(self, context: str) -> np.ndarray:
        """Control cells of a context, cells × g, float32."""
        return dense_rows(self.values, self.rows[context], self.position)


def read_controls(
    query: AnnData, columns: PerturbationColumns, genes: np.ndarray, usual: np.ndarray, layer: str | None
) -> ControlCells:
    """Find the control cells of a query; all cells where it has no column of perturbations.

    Parameters
    ----------
    query
        Cells.
    columns
        Where perturbations and contexts are.
    genes
        Names of the genes of the reference, g.
    usual
        Mean profile of the reference's control cells, g: for genes that the query lacks.
    layer
        Layer with the expression; ``None`` for ``.X``.

    Raises
    ------
    KeyError
        If the column of contexts or the layer is missing.
    ValueError
        If there are no control cells, less than half of the reference's genes are found, or values are not finite.
    """
    match = match_genes(query.var_names, pd.Index(genes), what="`query.var_names`")
    in_order = np.argsort(match.position)
    position, found = match.position[in_order], match.found[in_order]
    is_control = np.ones(query.n_obs, dtype=bool)
    if columns.perturbation in query.obs.columns:
        labels = query.obs[columns.perturbation].astype(str)
        is_control = labels.map({label: not columns.names(label) for label in labels.unique()}).to_numpy(dtype=bool)
    if not is_control.any():
        raise ValueError(
            f"`query` has no control cells: none of {query.n_obs} rows has .obs[{columns.perturbation!r}] = "
            f"{columns.control!r}. A prediction starts from control cells; add them, or drop the column if all are."
        )
    contexts = np.full(query.n_obs, "", dtype=object)
    if columns.context is not None:
        require_key(query.obs.columns, columns.context, "query.obs", "context_key")
        contexts = query.obs[columns.context].astype(str).to_numpy(dtype=object)
    rows = {str(name): np.flatnonzero(is_control & (contexts == name)) for name in sorted(set(contexts[is_control]))}
    values = by_rows(layer_or_x(query, layer))
    profile, smallest = {}, 0.0
    for name, members in rows.items():
        cells = dense_rows(values, members, position)
        require_finite(cells, "the control cells of `query`", rows=members)
        profile[name] = usual.copy()
        # by name, as in the reference: the order of cells changes no rounding
        by_name = np.argsort(query.obs_names[members].to_numpy(dtype=str), kind="stable")
        profile[name][found] = cells[by_name].mean(axis=0, dtype=np.float64)
        smallest = min(smallest, float(cells.min(initial=0)))
    return ControlCells(rows, values, position, found, profile, match.overlap, smallest >= 0)


def changed_cells(cells: np.ndarray, change: np.ndarray, *, non_negative: bool) -> np.ndarray:
    """Cells whose mean differs by ``change`` (g) from that of ``cells`` (n × g), float32.

    With ``non_negative``, increases are added to every cell, decreases lower each in proportion to its value, so that no
    value falls below 0 and the mean still changes by what was predicted (by no more than it was). A plain sum would have
    to be cut at 0, which in sparse data undoes most of a decrease.
    """
    if not non_negative:
        return (cells + change).astype(np.float32)
    mean = cells.mean(axis=0, dtype=np.float64)
    share = np.divide(change, mean, out=np.zeros(len(mean)), where=(mean > 0) & (change < 0))
    return (cells * np.maximum(1 + share, 0) + np.maximum(change, 0)).astype(np.float32)
