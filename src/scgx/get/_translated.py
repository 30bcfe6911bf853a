from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import TranslateKeys, require_key


def translated(adata: AnnData, *, key: str = "translated") -> AnnData:
    """Return the translated panel as an AnnData of its own, ready for ``sc.pl``.

    Parameters
    ----------
    adata
        Object after :func:`scgx.tl.translate`.
    key
        The ``key_added`` of that call.

    Returns
    -------
    n_obs × m: ``.X`` the translated values (float32), ``.obs`` and the other ``.obsm`` of ``adata``,
    ``.var["half_width"]`` the half-width of the interval (one column a tissue, ``"half_width_<tissue>"``, when
    intervals were made per tissue), ``.uns["translate"]`` the report. Copies: changing it leaves ``adata`` alone.

    Raises
    ------
    KeyError
        If ``adata`` was not translated under ``key``.
    """
    keys = TranslateKeys.from_key_added(key)
    require_key(adata.obsm.keys(), keys.obsm, ".obsm", "key")
    require_key(adata.uns.keys(), keys.uns, ".uns", "key")
    report = adata.uns[keys.uns]
    widths = np.atleast_2d(report["half_width"])
    names = [f"half_width_{tissue}" for tissue in report["tissues"]] or ["half_width"]
    var = pd.DataFrame(dict(zip(names, widths, strict=True)), index=pd.Index(report["target_genes"], dtype=object))
    return AnnData(
        X=np.array(adata.obsm[keys.obsm], dtype=np.float32),
        obs=adata.obs.copy(),
        var=var,
        obsm={name: value.copy() for name, value in adata.obsm.items() if name != keys.obsm},
        uns={"translate": dict(report)},
    )
