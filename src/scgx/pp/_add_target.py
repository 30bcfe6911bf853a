from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData

from scgx._core import (
    TargetKeys,
    by_rows,
    dense_rows,
    examples,
    layer_or_x,
    output_object,
    require_finite,
    require_key,
    require_unique,
)

from ._match_rows import match_rows

_BLOCK_ROWS = 1024


def add_target(
    adata: AnnData,
    target: AnnData,
    *,
    on: str | None = None,
    gene_key: str | None = None,
    layer: str | None = None,
    key_added: str = "target",
    copy: bool = False,
) -> AnnData | None:
    """Register a second platform that was measured on some of the rows.

    The second platform may also be another tissue of the same animal, or another modality.

    Parameters
    ----------
    adata
        Source platform, n_obs × n_vars.
    target
        Target platform, any number of rows × m. NaN stands for a value not measured.
    on
        ``.obs`` column of both that says which rows belong together, such as an animal or a treatment. Each value
        names one row of ``target``, but may name several of ``adata``. Missing values match nothing.
        ``None`` matches ``obs_names``.
    gene_key
        ``.var`` column of both that says which features are the same gene. Several probes may share a gene; an empty
        or missing value matches nothing. ``None`` takes ``var_names`` for the gene.
    layer
        Layer of ``target`` to take; ``None`` means ``target.X``.
    key_added
        Name of the result.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets

    ``.obsm["target"]``
        float32 array, n_obs × m, in the units of ``target``; a row of NaN where not measured.
    ``.uns["target"]``
        ``gene_names`` (m), ``platform`` (from ``target.uns["platform"]`` or a constant ``target.obs["platform"]``,
        else empty), ``n_matched`` rows with a measurement, ``on`` (``"obs_names"`` when not given), and with
        ``gene_key`` that key and ``target_genes``, the gene of each target feature (m). The source's genes are read
        from ``.var`` when they are needed, so that ``adata`` may be subset or reordered in between.

    Raises
    ------
    KeyError
        If ``on``, ``gene_key`` or ``layer`` is missing on either side.
    ValueError
        If names are not unique, no row or (with ``gene_key``) no gene is shared, or values are infinite.

    Examples
    --------
    >>> import scgx
    >>> scgx.pp.add_target(microarray, sequencing, on="animal", gene_key="symbol")  # doctest: +SKIP
    """
    require_unique(adata.var_names, "adata.var_names")
    require_unique(target.var_names, "target.var_names")
    position = match_rows(adata, target, on, "adata")
    genes = {} if gene_key is None else _gene_identity(adata, target, gene_key)
    values = _aligned(layer_or_x(target, layer), position, "target.X" if layer is None else f"target.layers[{layer!r}]")
    n_matched = int(np.count_nonzero(~np.isnan(values).all(axis=1)))
    if not n_matched:
        raise ValueError("target holds nothing but NaN in the rows that match adata; nothing to learn from")

    record = {
        "gene_names": target.var_names.to_numpy(dtype=str),
        "platform": _platform(target),
        "n_matched": n_matched,
        "on": "obs_names" if on is None else on,
        **genes,
    }
    keys = TargetKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    out.obsm[keys.obsm] = values
    out.uns[keys.uns] = record
    return out if copy else None


def _aligned(X: Any, position: np.ndarray, what: str) -> np.ndarray:
    X = by_rows(X)
    values = np.full((len(position), X.shape[1]), np.nan, dtype=np.float32)
    matched = np.flatnonzero(position >= 0)
    for start in range(0, len(matched), _BLOCK_ROWS):
        rows = matched[start : start + _BLOCK_ROWS]
        block = dense_rows(X, position[rows])
        require_finite(block, what, allow_nan=True, rows=position[rows])
        values[rows] = block
    return values


def _gene_identity(adata: AnnData, target: AnnData, gene_key: str) -> dict[str, str | np.ndarray]:
    require_key(adata.var, gene_key, "adata.var", "gene_key")
    require_key(target.var, gene_key, "target.var", "gene_key")
    source_genes, target_genes = _symbols(adata, gene_key), _symbols(target, gene_key)
    if not np.isin(source_genes[source_genes != ""], target_genes).any():
        raise ValueError(
            f"gene_key={gene_key!r} names no gene that adata and target share: "
            f"adata has {examples(source_genes, 3)}, target has {examples(target_genes, 3)}; "
            "bring both to the same identifiers, or leave gene_key out"
        )
    return {"gene_key": gene_key, "target_genes": target_genes}


def _symbols(adata: AnnData, gene_key: str) -> np.ndarray:
    column = adata.var[gene_key].astype(object)
    return column.where(column.notna(), "").to_numpy(dtype=str)


def _platform(target: AnnData) -> str:
    named = target.uns.get("platform")
    if not isinstance(named, str) and "platform" in target.obs:
        values = target.obs["platform"].dropna().unique()
        named = str(values[0]) if len(values) == 1 else None
    return named if isinstance(named, str) else ""
