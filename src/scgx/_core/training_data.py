from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from .arrays import dense_rows, layer_or_x, require_finite
from .errors import require_key, require_unique
from .pairing import check_paired

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True)
class TrainingData:
    """Paired rows as arrays.

    Attributes
    ----------
    X, Y
        Source (n × p) and target (n × m), float32, NaN where not measured.
    rows
        Their positions in the source object, n.
    source_genes, target_genes
        Feature names. Source features are sorted, so that their order in the data does not matter.
    pairs
        Shared genes, k × 2: source column, target column.
    groups, tissue
        One label a row, or ``None``.
    """

    X: np.ndarray
    Y: np.ndarray
    rows: np.ndarray
    source_genes: np.ndarray
    target_genes: np.ndarray
    pairs: np.ndarray
    groups: np.ndarray | None
    tissue: np.ndarray | None


def source_of(data: AnnData | MuData) -> AnnData:
    """Return the AnnData that holds the source platform and receives results."""
    return data if isinstance(data, AnnData) else data.mod["source"]


def training_data(
    data: AnnData | MuData,
    *,
    target_key: str,
    layer: str | None,
    group_key: str | None,
    tissue_key: str | None,
) -> TrainingData:
    """Collect the rows whose target was measured.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If there are too few rows or groups, names are doubled, rows are empty or values infinite, or no source
        gene varies.
    TypeError
        If ``data`` is neither AnnData nor MuData.
    """
    if not isinstance(data, AnnData):
        from mudata import MuData

        if not isinstance(data, MuData):
            raise TypeError(f"`data` must be an AnnData or a MuData; found {type(data).__name__}.")
        check_paired(data, "source", "target")
    source = source_of(data)
    if source.n_obs == 0 or source.n_vars == 0:
        raise ValueError(f"`data` is empty: {source.n_obs} rows × {source.n_vars} genes. Give rows and genes.")
    require_unique(source.var_names, "`data.var_names`")
    Y, target_genes, source_identity, target_identity = registered_target(data, target_key)
    rows = np.flatnonzero(np.isfinite(Y).any(axis=1))
    if len(rows) < 3:
        raise ValueError(
            f"only {len(rows)} of {source.n_obs} rows have a measured target in .obsm[{target_key!r}]; "
            "at least 3 are needed. Were rows lost or renamed after `scgx.pp.add_target`?"
        )
    order = np.argsort(source.var_names.to_numpy(dtype=str), kind="stable")
    X = dense_rows(layer_or_x(source, layer), rows, order)
    check_source(X, rows)
    if not (np.nanmax(X, axis=0, initial=-np.inf) > np.nanmin(X, axis=0, initial=np.inf)).any():
        raise ValueError("no source gene varies over the rows with a measured target: there is nothing to learn from.")
    return TrainingData(
        X=X,
        Y=Y[rows],
        rows=rows,
        source_genes=source.var_names.to_numpy(dtype=str)[order],
        target_genes=target_genes,
        pairs=_shared(source_identity[order], target_identity),
        groups=_labels(source.obs, group_key, rows, "group_key"),
        tissue=_labels(source.obs, tissue_key, rows, "tissue_key"),
    )


def check_source(X: np.ndarray, rows: np.ndarray) -> None:
    """Raise a ValueError for infinite source values and for rows without any measured one."""
    require_finite(X, "the source data", allow_nan=True, rows=rows)
    empty = np.isnan(X).all(axis=1)
    if empty.any():
        raise ValueError(
            f"{int(empty.sum())} rows of the source data hold only NaN in the genes that are used, the first is row "
            f"{int(rows[empty.argmax()])}. Drop these rows: there is nothing to translate."
        )


def registered_target(data: AnnData | MuData, target_key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Target values (all rows × m), target names, and the gene each source and target feature measures."""
    source = source_of(data)
    names = source.var_names.to_numpy(dtype=str)
    if not isinstance(data, AnnData):
        target = data.mod["target"]
        require_unique(target.var_names, "the target's `var_names`")
        target_names = target.var_names.to_numpy(dtype=str)
        return dense_rows(target.X), target_names, names, target_names
    require_key(data.obsm.keys(), target_key, ".obsm", "target_key")
    require_key(data.uns.keys(), target_key, ".uns", "target_key")
    record = data.uns[target_key]
    target_names = np.asarray(record["gene_names"], dtype=str)
    Y = np.asarray(data.obsm[target_key], dtype=np.float32)
    if Y.ndim != 2 or Y.shape[1] != len(target_names):
        raise ValueError(
            f".obsm[{target_key!r}] has shape {Y.shape}, .uns[{target_key!r}] names {len(target_names)} genes; "
            "register the target again with `scgx.pp.add_target`."
        )
    require_finite(Y, f".obsm[{target_key!r}]", allow_nan=True)
    if "gene_key" not in record:
        return Y, target_names, names, target_names
    require_key(data.var.columns, record["gene_key"], ".var", f"gene_key of .uns[{target_key!r}]")
    identity = data.var[record["gene_key"]].astype(object)
    return (
        Y,
        target_names,
        identity.where(identity.notna(), "").to_numpy(dtype=str),
        np.asarray(record["target_genes"], dtype=str),
    )


def _shared(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Positions of features that measure the same gene, k × 2; an empty name matches nothing."""
    left = pd.DataFrame({"gene": source, "source": np.arange(len(source))})
    right = pd.DataFrame({"gene": target, "target": np.arange(len(target))})
    both = left[left["gene"] != ""].merge(right, on="gene").sort_values(["target", "source"])
    return both[["source", "target"]].to_numpy(dtype=int)


def _labels(obs: pd.DataFrame, key: str | None, rows: np.ndarray, argument: str) -> np.ndarray | None:
    if key is None:
        return None
    require_key(obs.columns, key, ".obs", argument)
    column = obs[key].iloc[rows]
    missing = column.isna() | (column.astype(str) == "")
    if missing.any():
        raise ValueError(
            f"`{argument}`: .obs[{key!r}] has {int(missing.sum())} missing or empty values in rows with a measured "
            "target. Fill them or drop these rows."
        )
    labels = column.astype(str).to_numpy(dtype=str)
    if argument == "group_key" and len(np.unique(labels)) < 2:
        raise ValueError(
            f"`group_key`: .obs[{key!r}] has one group only ('{labels[0]}'); testing on unseen groups needs at least "
            "2. Measure more groups, or leave `group_key` out for a random (optimistic) split."
        )
    return labels
