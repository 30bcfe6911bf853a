from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from scgx._core import GeneMapKeys, require_key


def gene_map(adata: AnnData, *, key: str = "gene_map") -> pd.DataFrame:
    """Return the partners that :func:`scgx.tl.map_genes` found, one row a pair of genes.

    Parameters
    ----------
    adata
        The query of :func:`scgx.tl.map_genes`.
    key
        Its ``key_added``.

    Returns
    -------
    Columns ``query_gene``, ``reference_gene``, ``weight`` (the weights of a query gene sum to 1) and ``q_value`` (of
    the query gene's best partner; NaN where the method has no null), in the order of ``adata.var_names``, the largest
    weight first.

    Raises
    ------
    KeyError
        If there is no such map.
    """
    keys = GeneMapKeys.from_key_added(key)
    require_key(adata.varm.keys(), keys.varm, ".varm", "key")
    weights = csr_matrix(adata.varm[keys.varm]).tocoo()
    reference = np.asarray(adata.uns[keys.uns]["reference_names"], dtype=str)
    order = np.lexsort((weights.col, -weights.data, weights.row))
    row, column = weights.row[order], weights.col[order]
    return pd.DataFrame(
        {
            "query_gene": adata.var_names.to_numpy(dtype=str)[row],
            "reference_gene": reference[column],
            "weight": weights.data[order],
            "q_value": np.asarray(adata.uns[keys.uns]["q_value"], dtype=float)[row],
        }
    )
