from __future__ import annotations

import pandas as pd
from anndata import AnnData

from scgx._core import registered_reactome


def reactome(adata: AnnData, *, key: str = "reactome") -> AnnData:
    """Return a reactome as conditions × genes, the form that :func:`scgx.tl.transfer_response` takes.

    Parameters
    ----------
    adata
        After :func:`scgx.pp.reactome`.
    key
        Its ``key_added``.

    Returns
    -------
    ``.X`` float32, conditions × genes, NaN where not measured; ``.obs`` the conditions (``"drug"``, ``"organ"`` and
    design columns), named by their values; ``.var`` that of ``adata``.

    Raises
    ------
    KeyError
        If there is no reactome.
    """
    found = registered_reactome(adata, key)
    obs = found.conditions.copy()
    obs.index = pd.Index(obs.astype(str).agg(", ".join, axis=1))
    return AnnData(found.values.T.copy(), obs=obs, var=adata.var.copy())
