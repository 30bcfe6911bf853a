from __future__ import annotations

from typing import Any

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
    ``.var["half_width"]`` the half-width of each gene's interval, ``.layers["half_width"]`` that of each value by the
    row's tissue when ``tissue_key`` was given, ``.uns["translate"]`` the report. Copies: changing it leaves ``adata``
    alone.

    Raises
    ------
    KeyError
        If ``adata`` was not translated under ``key``.
    """
    keys = TranslateKeys.from_key_added(key)
    require_key(adata.obsm.keys(), keys.obsm, ".obsm", "key")
    require_key(adata.uns.keys(), keys.uns, ".uns", "key")
    report = adata.uns[keys.uns]
    var = pd.DataFrame({"half_width": report["half_width"]}, index=pd.Index(report["target_genes"], dtype=object))
    return AnnData(
        X=np.array(adata.obsm[keys.obsm], dtype=np.float32),
        obs=adata.obs.copy(),
        var=var,
        obsm={name: value.copy() for name, value in adata.obsm.items() if name != keys.obsm},
        layers={"half_width": _half_width(adata.obs, report)} if len(report["tissues"]) else None,
        uns={"translate": dict(report)},
    )


def _half_width(obs: pd.DataFrame, report: dict[str, Any]) -> np.ndarray:
    """Half-width of each value by the row's tissue, n_obs × m; that over all tissues where the tissue was not fitted."""
    widths = np.vstack([report["tissue_half_width"], report["half_width"]])
    position = {name: row for row, name in enumerate(report["tissues"])}
    return widths[[position.get(str(tissue), -1) for tissue in obs[report["tissue_key"]]]]
