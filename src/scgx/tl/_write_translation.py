from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from scgx._core import TranslateKeys, output_object, source_of

if TYPE_CHECKING:
    from mudata import MuData

    from scgx.tl._fitted import Fitted

#: a layer on all genes is dense; beyond this size .obsm has to do
_LARGEST_LAYER = 2 * 2**30


def write_translation(
    data: AnnData | MuData, values: np.ndarray, report: dict[str, Any], fitted: Fitted, *, key_added: str, copy: bool
) -> AnnData | MuData | None:
    """Write translated values and report under the keys of ``key_added``, replacing all of an earlier call."""
    keys = TranslateKeys.from_key_added(key_added)
    layer, word = _layer(source_of(data), values, fitted)
    if isinstance(data, AnnData):
        out = output_object(data, copy=copy)
    else:
        out = data.copy() if copy else data
    adata = source_of(out)
    adata.obsm[keys.obsm] = values
    adata.uns[keys.uns] = report | {"layer": word}
    if layer is not None:
        adata.layers[keys.layer] = layer
    elif keys.layer in adata.layers:
        del adata.layers[keys.layer]
    return out if copy else None


def _layer(adata: AnnData, values: np.ndarray, fitted: Fitted) -> tuple[np.ndarray | None, str]:
    """Translated values of shared genes on the source's own features, NaN elsewhere; or why there are none."""
    if adata.isbacked:
        return None, "left out: adata is backed"
    if not len(fitted.pairs):
        return None, "left out: the panels share no gene"
    if 4 * adata.n_obs * adata.n_vars > _LARGEST_LAYER:
        return None, "left out: a dense layer on all genes would take more than 2 GB"
    position = adata.var_names.get_indexer(fitted.source_genes[fitted.pairs[:, 0]])
    here = position >= 0
    layer = np.full(adata.shape, np.nan, dtype=np.float32)
    layer[:, position[here]] = values[:, fitted.pairs[here, 1]]
    return layer, "genes that both panels measure; NaN elsewhere"
