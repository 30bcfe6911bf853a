"""Tables of conditions as the numbers that the estimators take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import examples, require_key
from scgx._core.molecules import morgan_fingerprints, parse_smiles
from scgx._core.reactome import Reactome, registered_reactome
from scgx.estimators import ReactomeConditions


@dataclass(frozen=True)
class MeasuredReactome:
    """The measured part of a reactome.

    Attributes
    ----------
    table
        One row a measured condition: ``"drug"``, ``"organ"`` and further columns, index 0, 1, ….
    listed
        The same for every condition of the reactome, measured or not: it may tell structures.
    values
        Conditions × genes of ``genes``, without gaps.
    genes
        Positions of the genes that are measured in all of these conditions.
    norm
        ``"signed"`` or ``"l1"``.
    """

    table: pd.DataFrame
    listed: pd.DataFrame
    values: np.ndarray
    genes: np.ndarray
    norm: str


def measured_reactome(adata: AnnData, reactome_key: str, design_keys: Sequence[str]) -> MeasuredReactome:
    """Read the conditions that were measured; errors of :func:`registered_reactome`, and of too few conditions."""
    reactome: Reactome = registered_reactome(adata, reactome_key)
    for key in ("drug", *design_keys):
        require_key(reactome.conditions.columns, key, f".uns[{reactome_key!r}]['conditions']", "design_keys")
    known = np.isfinite(reactome.values)
    conditions = np.flatnonzero(known.any(axis=0))
    genes = np.flatnonzero(known[:, conditions].all(axis=1)) if len(conditions) else np.array([], dtype=np.intp)
    if len(conditions) < 4 or not len(genes):
        raise ValueError(
            f".varm[{reactome_key!r}] has {len(conditions)} measured conditions and {len(genes)} genes measured in all "
            "of them; predicting needs at least 4 conditions and 1 gene: measure more, or leave sparse conditions out"
        )
    values = np.ascontiguousarray(reactome.values[np.ix_(genes, conditions)].T)
    table = reactome.conditions.iloc[conditions].reset_index(drop=True)
    return MeasuredReactome(table, reactome.conditions, values, genes, str(reactome.record.get("norm", "signed")))


def require_conditions(
    asked: pd.DataFrame, measured: pd.DataFrame, design_keys: Sequence[str], argument: str
) -> pd.DataFrame:
    """Check a table of conditions asked for; return it with index 0, 1, ….

    Raises
    ------
    TypeError
        If it is no DataFrame.
    KeyError
        If a column is missing.
    ValueError
        If it is empty, has gaps, or names an organ or a design that was never measured.
    """
    if not isinstance(asked, pd.DataFrame):
        raise TypeError(f"`{argument}` must be a DataFrame with columns 'drug', 'organ'; found {type(asked).__name__}.")
    columns = ["drug", "organ", *design_keys]
    for name in columns:
        require_key(asked.columns, name, f"`{argument}`", "design_keys" if name in design_keys else "column")
    if asked.empty or asked[columns].isna().any(axis=None):
        raise ValueError(f"`{argument}` must have at least one row and no gaps in {columns}; found {len(asked)} rows.")
    for name in columns[1:]:
        unknown = sorted(set(asked[name].astype(str)) - set(measured[name].astype(str)))
        if unknown:
            raise ValueError(
                f"`{argument}` has {name} {examples(unknown)}, never measured; the reactome has "
                f"{examples(sorted(set(measured[name].astype(str))), 10)}: measure one condition there first"
            )
    return asked.reset_index(drop=True)


def encode(
    tables: Sequence[pd.DataFrame], design_keys: Sequence[str], smiles_key: str | None
) -> list[ReactomeConditions]:
    """Codes and fingerprints of tables, equal for equal names throughout.

    Structures come from the column ``smiles_key`` of any of the tables and hold for the drug in all of them.

    Raises
    ------
    ValueError
        If a SMILES is not one, with its drug named, or a drug has two different ones.
    """
    joined = pd.concat([table.assign(_table=k) for k, table in enumerate(tables)], ignore_index=True)
    code = {name: pd.factorize(joined[name].astype(str))[0] for name in ("drug", "organ", *design_keys)}
    features = None
    if smiles_key is not None and smiles_key in joined:
        features = _fingerprints(joined["drug"].astype(str).to_numpy(), code["drug"], joined[smiles_key])
    design = np.column_stack([code[name] for name in design_keys]) if design_keys else np.zeros((len(joined), 0), int)
    conditions = ReactomeConditions(code["drug"], code["organ"], design, features)
    return [conditions.take(np.flatnonzero(joined["_table"] == k)) for k in range(len(tables))]


def storable_column(column: pd.Series) -> np.ndarray:
    """A column as an array that h5ad takes; gaps of text are empty."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return column.astype(object).where(column.notna(), "").to_numpy(str)


def _fingerprints(names: np.ndarray, drug: np.ndarray, column: pd.Series) -> np.ndarray | None:
    text = column.where(column.notna(), "").astype(str).str.strip()
    known = np.flatnonzero((text != "").to_numpy() & ~text.isin(["None", "nan"]).to_numpy())
    if not len(known):
        return None
    smiles = pd.Series(text.to_numpy()[known], index=drug[known])
    several = smiles.groupby(level=0).nunique()
    if (several > 1).any():
        twice = names[known][np.isin(drug[known], several.index[several > 1])]
        raise ValueError(f"drug {examples(pd.unique(twice))} has several SMILES; give one a drug")
    first = smiles[~smiles.index.duplicated()]
    name_of = dict(zip(drug[known], names[known], strict=True))
    for code, molecule in first.items():
        try:
            parse_smiles([molecule])
        except ValueError as error:
            raise ValueError(
                f"SMILES {molecule!r} of drug {name_of[code]!r} is not valid; correct it, or leave it empty"
            ) from error
    bits = morgan_fingerprints(first)
    features = np.zeros((len(drug), bits.shape[1]), dtype=np.float32)
    position = pd.Index(first.index).get_indexer(drug)
    features[position >= 0] = bits[position[position >= 0]]
    return features
