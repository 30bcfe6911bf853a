"""The object that a verb writes to."""

from __future__ import annotations

from anndata import AnnData


def output_object(adata: AnnData, *, copy: bool) -> AnnData:
    """Return ``adata`` or a copy of it in memory.

    Call it after the last check and before the first write: then a failing verb leaves ``adata`` as it was.

    Parameters
    ----------
    adata
        What the user passed.
    copy
        Whether to leave ``adata`` alone.

    Raises
    ------
    ValueError
        If ``adata`` is a view of a backed object, which cannot be written to.
    """
    if copy:
        return adata.to_memory() if adata.isbacked else adata.copy()
    if adata.isbacked and adata.is_view:
        raise ValueError("adata is a view of a backed AnnData and cannot be written to; pass `adata.to_memory()`")
    return adata
