from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import require_key, require_same_target
from scgx.get._translated import translated


def harmonized(adata: AnnData, *, key: str = "translated", target_key: str = "target") -> AnnData:
    """Return one panel for all rows: measured where the target was measured, translated elsewhere.

    Parameters
    ----------
    adata
        Object after :func:`scgx.pp.add_target` and :func:`scgx.tl.translate`.
    key
        The ``key_added`` of :func:`scgx.tl.translate`.
    target_key
        The ``key_added`` of :func:`scgx.pp.add_target`.

    Returns
    -------
    n_obs × m, as :func:`translated` gives it, with ``.obs["origin"]`` (``"measured"`` if any gene of the row was
    measured, else ``"translated"``) and ``.layers["measured"]`` (bool: which entries were). Gaps within a measured
    row hold the translated value.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If translated and registered target have different genes.
    """
    result = translated(adata, key=key)
    require_key(adata.obsm.keys(), target_key, ".obsm", "target_key")
    names = np.asarray(adata.uns[target_key]["gene_names"], dtype=str)
    require_same_target(names, result.var_names.to_numpy(dtype=str), target_key=target_key, key=key)
    target = np.asarray(adata.obsm[target_key])
    measured = np.isfinite(target)
    result.X = np.where(measured, target, result.X).astype(np.float32)
    result.layers["measured"] = measured
    origin = np.where(measured.any(axis=1), "measured", "translated")
    result.obs["origin"] = pd.Categorical(origin, categories=["measured", "translated"])
    return result
