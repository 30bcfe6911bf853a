"""A query and a labelled reference on the genes they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from .arrays import dense_rows, layer_or_x, require_finite
from .errors import examples, require_key, require_unique
from .orthologs import ortholog_pairs

#: share of the smaller panel that must be found by name: a few symbols agree between any two species by accident
_LEAST_SHARED = 0.1


@dataclass(frozen=True)
class SharedGenes:
    """Query and reference on the same genes, in the same order."""

    query: Any
    """Query rows × shared genes, ndarray or CSR."""
    reference: Any
    """Labelled reference rows × shared genes."""
    report: dict[str, int | str] = field(default_factory=dict)
    """How genes were matched."""


@dataclass(frozen=True)
class Labelled:
    """The rows of a reference that have a label."""

    rows: np.ndarray
    label: np.ndarray
    batch: np.ndarray | None


def labelled_rows(reference: AnnData, label_key: str, batch_key: str | None) -> Labelled:
    """Read labels and studies of a reference.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If there are fewer than two labels.
    """
    require_key(reference.obs.columns, label_key, "reference.obs", "label_key")
    rows = np.flatnonzero(reference.obs[label_key].notna())
    label = reference.obs[label_key].astype(str).to_numpy(dtype=str)[rows]
    found = np.unique(label)
    if len(found) < 2:
        raise ValueError(
            f"label_key={label_key!r} has {len(found)} label in reference.obs ({examples(found) or 'none'}); a "
            "classifier needs at least 2"
        )
    batch = batches(reference, batch_key, "reference")
    return Labelled(rows, label, None if batch is None else batch[rows])


def batches(adata: AnnData, batch_key: str | None, what: str) -> np.ndarray | None:
    """Study of each row, or ``None`` without a key."""
    if batch_key is None:
        return None
    require_key(adata.obs.columns, batch_key, f"{what}.obs", "batch_key")
    if adata.obs[batch_key].isna().any():
        raise ValueError(f"batch_key={batch_key!r} is missing in some rows of {what}.obs; name a study for each row")
    return adata.obs[batch_key].astype(str).to_numpy(dtype=str)


def expression(adata: AnnData, layer: str | None, rows: np.ndarray | None, what: str) -> Any:
    """Rows as CSR where the data are sparse in memory, else as an ndarray; float32 and finite."""
    X = layer_or_x(adata, layer)
    if sparse.issparse(X):
        X = sparse.csr_matrix(X if rows is None else X.tocsr()[rows], dtype=np.float32)
        if not np.isfinite(X.data).all():
            raise ValueError(f"{what} has NaN or infinite values; replace them or drop these observations or genes")
        return X
    X = dense_rows(X, rows)
    require_finite(X, what)
    return X


def shared_genes(
    query: AnnData,
    reference: AnnData,
    rows: np.ndarray,
    *,
    orthologs: pd.DataFrame | Literal["symbol"] | None,
    layer: str | None,
) -> SharedGenes | None:
    """Bring query and reference to the genes they share.

    Parameters
    ----------
    query, reference
        Annotated data.
    rows
        Rows of the reference to read.
    orthologs
        As in :func:`ortholog_pairs`; ``None`` matches equal names. A reference gene with several partners is compared
        with their mean.
    layer
        Layer of both; ``None`` for ``.X``.

    Returns
    -------
    ``None`` without ``orthologs`` if less than a tenth of the smaller panel is found by name.

    Raises
    ------
    ValueError
        If names are not unique, values are not finite, or ``orthologs`` pairs no gene.
    """
    if orthologs is None:
        require_unique(query.var_names, "query.var_names")
        require_unique(reference.var_names, "reference.var_names")
        position = query.var_names.get_indexer(reference.var_names)
        of_reference = np.flatnonzero(position >= 0)
        of_query = position[of_reference]
        report: dict[str, int | str] = {"matched": "names", "n_query": query.n_vars, "n_reference": reference.n_vars}
        if len(of_reference) < max(1, _LEAST_SHARED * min(query.n_vars, reference.n_vars)):
            return None
    else:
        pairs = ortholog_pairs(query.var_names, reference.var_names, orthologs, one_to_one=False)
        of_query, of_reference = pairs.query, pairs.reference
        report = {"matched": "orthologs", **pairs.report}
    genes, column = np.unique(of_reference, return_inverse=True)
    weight = (1 / np.bincount(column))[column].astype(np.float32)
    mean_of = sparse.csr_matrix((weight, (of_query, column)), shape=(query.n_vars, len(genes)))
    return SharedGenes(
        query=expression(query, layer, None, "query") @ mean_of,
        reference=expression(reference, layer, rows, "reference")[:, genes],
        report=report | {"n_shared": len(genes)},
    )
