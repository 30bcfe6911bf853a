"""Changes that a screen measured, and the controls they are taken against, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import by_rows, dense_rows, examples, layer_or_x, require_finite
from scgx._core.perturbation_cells import log_doses, perturbation_table, set_means, sort_cells
from scgx.model._drugbert_setup import ScreenSetup, drug_bits, drug_classes

#: control profiles of a unit that are kept, at most
_MOST_CONTROLS = 256
_FEWEST_DRUGS = 3


@dataclass(frozen=True)
class Screen:
    """Changes of a screen, one row a well or a condition.

    Attributes
    ----------
    genes
        Names, sorted: the order of genes in the data does not matter.
    change
        Change from the mean of the matched controls, n × g.
    controls
        Control profiles, m × g.
    control_rows
        Those matched to each unit.
    unit
        Unit of each row: a line, or one of its plates.
    table
        One row a row of ``change``: ``label`` (drug), ``context`` (line), ``log_dose`` (0 without doses), ``drug_class``
        (empty where unknown).
    bits
        Fingerprint of each drug, one row a name.
    """

    genes: np.ndarray
    change: np.ndarray
    controls: np.ndarray
    control_rows: list[np.ndarray]
    unit: np.ndarray
    table: pd.DataFrame
    bits: pd.DataFrame

    def classes(self) -> tuple[str, ...]:
        """Classes of drugs, sorted."""
        return tuple(sorted(set(self.table["drug_class"]) - {""}))

    def mean_change(self, lines: Sequence[str]) -> pd.DataFrame:
        """Mean change in each line, lines × g, float32; that of all rows where the screen lacks the line."""
        of_line = pd.DataFrame(self.change).groupby(self.table["context"].to_numpy(dtype=str)).mean()
        return of_line.reindex(pd.Index(lines)).fillna(pd.Series(self.change.mean(axis=0))).astype(np.float32)


def read_screen(adata: AnnData, setup: ScreenSetup, *, wells: bool, seed: int) -> Screen:
    """Changes of every well, or the mean change of every condition (drug × line × design × dose).

    Raises
    ------
    ValueError
        If there are fewer than three drugs, a unit has no control, values are not finite, a dose is not positive, or a
        SMILES cannot be read.
    """
    columns = setup.columns
    table = perturbation_table(adata, columns)
    table["drug_class"] = drug_classes(adata, setup)
    treated = table[table["label"] != ""]
    if treated["label"].nunique() < _FEWEST_DRUGS:
        raise ValueError(
            f".obs[{columns.perturbation!r}] has {treated['label'].nunique()} drugs beside {columns.control!r}: "
            f"{examples(sorted(set(treated['label'])))}; DrugBERT needs at least {_FEWEST_DRUGS} to learn from."
        )
    bits = drug_bits(treated["label"], treated["smiles"], has_smiles=columns.smiles is not None)
    by_condition = sort_cells(table, min_controls=1)
    of_row = [rows[[k]] for rows in by_condition.cells for k in range(len(rows))] if wells else by_condition.cells
    repeats = [len(rows) if wells else 1 for rows in by_condition.cells]
    rows = table.loc[[one[0] for one in of_row]].reset_index(drop=True)
    rows["log_dose"] = 0.0 if columns.dose is None else log_doses(rows["dose"], columns.dose)
    X, order = by_rows(layer_or_x(adata, setup.layer)), np.argsort(adata.var_names.to_numpy(dtype=str), kind="stable")
    unit = np.repeat(by_condition.unit, repeats)
    mean = dense_rows(X, np.concatenate(of_row)) if wells else set_means(X, of_row)
    change = (mean - set_means(X, by_condition.controls)[unit])[:, order]
    require_finite(change, "the changes of `adata`")
    rng = np.random.default_rng(seed)
    kept = [np.sort(rng.permutation(one)[:_MOST_CONTROLS]) for one in by_condition.controls]
    starts = np.cumsum([0, *map(len, kept)])
    return Screen(
        genes=adata.var_names.to_numpy(dtype=str)[order],
        change=change.astype(np.float32),
        controls=dense_rows(X, np.concatenate(kept), order),
        control_rows=[np.arange(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)],
        unit=unit,
        table=rows[["label", "context", "log_dose", "drug_class"]],
        bits=bits,
    )
