from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx._core import require_unique

from ._match_rows import match_rows

if TYPE_CHECKING:
    from mudata import MuData


def pair(source: AnnData, target: AnnData, *, on: str | None = None) -> MuData:
    """Join the rows that two platforms share, in one order.

    MuData itself accepts modalities whose rows are in different orders; here row i is the same sample in both.

    Parameters
    ----------
    source
        Source platform.
    target
        Target platform.
    on
        ``.obs`` column of both that says which rows belong together. Each value names one row of ``target``, but may
        name several of ``source``: the row of ``target`` is then repeated. ``None`` matches ``obs_names``.

    Returns
    -------
    Modalities ``"source"`` and ``"target"``: copies in memory, paired rows only, in the order of ``source`` and with
    its ``obs_names`` in both. (Where a row of ``target`` is repeated, anndata warns of equal names on the way.)

    Raises
    ------
    KeyError
        If ``on`` is missing on either side.
    ValueError
        If names are not unique or no row is shared.

    Examples
    --------
    >>> import scgx
    >>> mdata = scgx.pp.pair(microarray, sequencing, on="animal")  # doctest: +SKIP
    """
    import mudata

    require_unique(source.obs_names, "source.obs_names")
    require_unique(source.var_names, "source.var_names")
    require_unique(target.var_names, "target.var_names")
    position = match_rows(source, target, on, "source")
    paired = np.flatnonzero(position >= 0)
    left = _take(source, paired)
    right = _take(target, position[paired])
    right.obs_names = left.obs_names
    with mudata.set_options(pull_on_update=False):  # mudata's coming default: columns stay in their modality
        return mudata.MuData({"source": left, "target": right})


def _take(adata: AnnData, rows: np.ndarray) -> AnnData:
    view = adata[rows]
    return view.to_memory() if adata.isbacked else view.copy()
