"""Pairs of drugs in cell lines, read from a table of pairs and an expression matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from anndata import AnnData

from .arrays import dense_rows, layer_or_x, require_finite
from .errors import examples, require_key, require_unique
from .genes import match_genes
from .molecules import canonical_smiles, morgan_fingerprints

PAIR_COLUMNS = ("drug_a", "drug_b", "smiles_a", "smiles_b", "cell_line")


@dataclass(frozen=True)
class DrugPairs:
    """n pairs of drugs, each in a cell line, as positions in a table of molecules and one of lines.

    Molecules are known by their SMILES, so two names of one molecule are one drug.
    """

    a: np.ndarray
    """Row of the first drug, n."""
    b: np.ndarray
    """Row of the second drug, n. The order of the two means nothing."""
    line: np.ndarray
    """Row of the cell line, n."""
    smiles: np.ndarray
    """Canonical SMILES without salts, one a drug."""
    fingerprint: np.ndarray
    """Morgan fingerprints, drugs × bits."""
    lines: np.ndarray
    """Names of the cell lines."""
    expression: np.ndarray
    """Cell lines × genes, finite."""

    def __len__(self) -> int:
        return len(self.a)

    def take(self, rows: np.ndarray) -> DrugPairs:
        """Some of the pairs, without drugs and lines that none of them uses."""
        drugs, pair = np.unique(np.stack([self.a[rows], self.b[rows]]), return_inverse=True)
        lines, line = np.unique(self.line[rows], return_inverse=True)
        a, b = pair.reshape(2, -1)
        return DrugPairs(
            a, b, line, self.smiles[drugs], self.fingerprint[drugs], self.lines[lines], self.expression[lines]
        )

    def swapped(self) -> DrugPairs:
        """The same pairs, the second drug named first."""
        return replace(self, a=self.b, b=self.a)

    @property
    def pair(self) -> np.ndarray:
        """One label a set of two molecules, whatever their order, n."""
        first, second = self.smiles[self.a], self.smiles[self.b]
        ordered = first < second
        low, high = np.where(ordered, first, second), np.where(ordered, second, first)
        return np.char.add(np.char.add(low, " "), high)

    @property
    def cell_line(self) -> np.ndarray:
        """Name of each pair's line, n."""
        return self.lines[self.line]


def read_pairs(
    frame: pd.DataFrame, lines: pd.DataFrame, *, argument: str, known: dict[str, str] | None = None
) -> DrugPairs:
    """Read a table of pairs.

    Parameters
    ----------
    frame
        Columns :data:`PAIR_COLUMNS`; others are ignored.
    lines
        Cell lines × genes as :func:`read_lines` gives it.
    argument
        How the user calls ``frame``.
    known
        Canonical SMILES of drug names that were read before; a name must mean the same molecule again.

    Raises
    ------
    KeyError
        If a column is missing or a cell line has no expression.
    TypeError
        If ``frame`` is not a DataFrame.
    ValueError
        If there are no rows, values are missing, a SMILES cannot be read, or one name has two molecules.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"`{argument}` must be a DataFrame; found {type(frame).__name__}.")
    for column in PAIR_COLUMNS:
        require_key(frame.columns, column, f"`{argument}`", "column")
    if not len(frame):
        raise ValueError(f"`{argument}` has no rows; give at least one pair.")
    for column in PAIR_COLUMNS:
        if frame[column].isna().any():
            row = frame.index[frame[column].isna()][0]
            raise ValueError(f"`{argument}` has no {column!r} in row {row}; fill it in or leave the row out.")
    molecules = drug_molecules(frame, argument=argument, known=known)
    names = frame["cell_line"].astype(str).to_numpy(dtype=str)
    unknown = sorted(set(names) - set(lines.index))
    if unknown:
        raise KeyError(
            f"`{argument}` has cell lines without expression: {examples(unknown)}; `expression` has "
            f"{examples(lines.index)}: add their rows or leave these pairs out"
        )
    used, line = np.unique(names, return_inverse=True)
    smiles = np.array(sorted(set(molecules.values())))
    a, b = (
        np.searchsorted(smiles, frame[column].astype(str).map(molecules).to_numpy(dtype=str))
        for column in ("drug_a", "drug_b")
    )
    return DrugPairs(a, b, line, smiles, morgan_fingerprints(smiles), used, lines.loc[used].to_numpy(dtype=np.float32))


def drug_molecules(frame: pd.DataFrame, *, argument: str, known: dict[str, str] | None = None) -> dict[str, str]:
    """Canonical SMILES of each drug name of a table of pairs. See :func:`read_pairs`."""
    written = pd.concat(
        [frame[["drug_" + side, "smiles_" + side]].set_axis(["drug", "smiles"], axis=1) for side in "ab"]
    ).drop_duplicates()
    molecules: dict[str, str] = {}
    for name, smiles in zip(written["drug"].astype(str), written["smiles"], strict=True):
        try:
            (molecule,) = canonical_smiles([smiles])
        except ValueError as error:
            raise ValueError(
                f"`{argument}`: the SMILES {smiles!r} of drug {name!r} cannot be read; correct it or leave its pairs out."
            ) from error
        before = molecules.get(name) or (known or {}).get(name)
        if before not in (None, molecule):
            raise ValueError(
                f"`{argument}`: drug {name!r} has two molecules, {before!r} and {molecule!r}; give each its own name."
            )
        molecules[name] = molecule
    return molecules


def read_lines(
    expression: AnnData | pd.DataFrame, *, genes: pd.Index | None = None, layer: str | None = None
) -> pd.DataFrame:
    """Cell lines × genes of an AnnData or a DataFrame, of ``genes`` in their order if given.

    Raises
    ------
    TypeError
        If ``expression`` is neither.
    ValueError
        If names occur twice, values are not finite, or less than all of ``genes`` are found.
    """
    if isinstance(expression, AnnData):
        table = pd.DataFrame(
            dense_rows(layer_or_x(expression, layer)), index=expression.obs_names, columns=expression.var_names
        )
    elif isinstance(expression, pd.DataFrame):
        table = expression.astype(np.float32)
    else:
        raise TypeError(f"`expression` must be an AnnData or a DataFrame; found {type(expression).__name__}.")
    table = table.set_axis(table.index.astype(str)).set_axis(table.columns.astype(str), axis=1)
    require_unique(table.index, "expression.obs_names")
    if genes is not None:
        match = match_genes(table.columns, genes, min_overlap=1.0, what="expression.var_names")
        table = table.iloc[:, match.position]
    require_finite(table.to_numpy(), "expression")
    return table


def read_target(frame: pd.DataFrame, *, argument: str) -> tuple[np.ndarray, str]:
    """What was measured of each pair, n, and the column that has it: ``"label"``, or ``"score"`` if there is none.

    Raises
    ------
    KeyError
        If there is neither.
    ValueError
        If a label is not 0 or 1, there is one label only, or scores are not finite or all the same.
    """
    column = "label" if "label" in frame.columns else "score"
    if column not in frame.columns:
        require_key(frame.columns, "label", f"`{argument}` (which needs 'label' or 'score')", "column")
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"`{argument}` has {frame[column].iloc[first]!r} as {column!r} in row {frame.index[first]}; give a finite number."
        )
    found = np.unique(values)
    if column == "label" and not np.isin(found, (0, 1)).all():
        raise ValueError(
            f"`{argument}` must have labels 0 and 1; found {examples(found)}. Name a measured synergy 'score'."
        )
    if len(found) < 2:
        raise ValueError(
            f"`{argument}` has {found[0]:g} in every row of {column!r}; nothing can be learned from one value."
        )
    return values, column
