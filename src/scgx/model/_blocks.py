from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from scgx._core import by_rows, check_source, dense_rows, layer_or_x, match_genes

_BLOCK_ROWS = 256


def compute_rows(
    adata: AnnData, layer: str | None, genes: np.ndarray, compute: Callable[[Tensor], Tensor], device: torch.device
) -> np.ndarray:
    """Apply a network to the rows of ``adata``, block by block in their order, so that backed data can be read.

    Parameters
    ----------
    adata
        Genes in any order.
    layer
        Layer to use; ``None`` means ``.X``.
    genes
        Genes that ``compute`` wants, in this order; those that ``adata`` lacks are NaN.
    compute
        From rows × genes to rows × anything.
    device
        Of the network.

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If less than half of the genes are found, values are infinite, or there is no row or a row without a value.
    """
    if adata.n_obs == 0:
        raise ValueError("`adata` has no rows; give at least one.")
    match = match_genes(adata.var_names, pd.Index(genes), what="`adata.var_names`")
    values = by_rows(layer_or_x(adata, layer))
    blocks = []
    for start in range(0, adata.n_obs, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, adata.n_obs))
        x = np.full((len(rows), len(genes)), np.nan, dtype=np.float32)
        x[:, match.found] = dense_rows(values, rows, match.position)
        check_source(x, rows)
        with torch.no_grad():
            blocks.append(compute(torch.from_numpy(x).to(device)).cpu().numpy())
    return np.concatenate(blocks)
