from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData

_MARKERS = (
    "CD3D", "CD3E", "CD4", "CD8A", "CD8B", "IL7R", "CCR7", "CD79A", "CD79B", "MS4A1", "NKG7", "GNLY", "GZMB", "GZMK",
    "PRF1", "LYZ", "CST3", "S100A8", "S100A9", "LST1", "FCGR3A", "FCER1A", "CLEC10A", "HLA-DRA", "IRF8", "SOX4",
)  # fmt: skip
_N_SHARED = 20


class PbmcPanels(NamedTuple):
    """Two gene panels over the same cells.

    Parameters
    ----------
    source
        The source panel of all cells.
    target
        The target panel of the measured cells.
    held_out
        The target panel of the cells that ``target`` lacks: what a translation should find.
    """

    source: AnnData
    target: AnnData
    held_out: AnnData


def pbmc_panels(*, n_source: int = 400, unmeasured: float = 0.2, seed: int = 0) -> PbmcPanels:
    """Split real blood cells into a source panel and a target panel.

    The 700 cells × 765 genes that scanpy ships (:func:`scanpy.datasets.pbmc68k_reduced`, Zheng et al. 2017,
    log-normalised ``.raw``) need no download. The marker genes of the cell types are in the target panel only; 20
    other genes are in both panels.

    Parameters
    ----------
    n_source
        Number of source genes; the target panel has the other genes and the 20 shared ones.
    unmeasured
        Fraction of cells without a target profile, in [0, 1).
    seed
        Chooses genes and unmeasured cells.

    Returns
    -------
    ``source``, ``target`` and ``held_out``, each with CSR float32 ``.X``, ``.obs["bulk_labels"]``,
    ``.obs["louvain"]`` and ``.var["gene_symbol"]``. Cells keep their order.

    Raises
    ------
    ValueError
        If ``n_source`` leaves no room for the shared genes or the markers, or ``unmeasured`` is outside [0, 1).

    Examples
    --------
    >>> import scgx
    >>> source, target, held_out = scgx.datasets.pbmc_panels()
    >>> source.shape, target.shape, held_out.shape
    ((700, 400), (560, 385), (140, 385))
    """
    cells = _cells()
    is_marker = cells.var_names.isin(_MARKERS)
    other = np.flatnonzero(~is_marker)
    if not _N_SHARED <= n_source <= len(other):
        raise ValueError(
            f"n_source={n_source}, expected {_N_SHARED} (the genes in both panels) to {len(other)} "
            f"(all genes but the {is_marker.sum()} markers)"
        )
    if not 0 <= unmeasured < 1:
        raise ValueError(f"unmeasured={unmeasured}, expected a fraction in [0, 1)")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(other)[:n_source]
    source, shared = np.sort(chosen), chosen[:_N_SHARED]
    target = np.union1d(np.setdiff1d(np.arange(cells.n_vars), chosen), shared)
    measured = np.ones(cells.n_obs, dtype=bool)
    measured[rng.permutation(cells.n_obs)[: round(unmeasured * cells.n_obs)]] = False
    return PbmcPanels(cells[:, source].copy(), cells[measured, target].copy(), cells[~measured, target].copy())


def _cells() -> AnnData:
    reduced = sc.datasets.pbmc68k_reduced()
    genes = reduced.raw.var_names
    return AnnData(
        reduced.raw.X,  # reduced.X is scaled
        obs=reduced.obs[["bulk_labels", "louvain"]],
        var=pd.DataFrame({"gene_symbol": genes}, index=genes),
    )
