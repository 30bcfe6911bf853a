from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import examples, require_key, require_unique


def match_rows(source: AnnData, target: AnnData, on: str | None, name: str) -> np.ndarray:
    """Find the row of ``target`` that belongs to each row of ``source``.

    Parameters
    ----------
    source
        Rows to find a partner for; several may share one when ``on`` is given.
    target
        Partners, each named once.
    on
        ``.obs`` column of both with the names; ``None`` for ``obs_names``.
    name
        What the user calls ``source``, for messages.

    Returns
    -------
    Row numbers in ``target``, -1 where there is none: (n_obs of ``source``,).
    """
    if on is None:
        ids, partners = source.obs_names, target.obs_names
        require_unique(ids, f"{name}.obs_names")
        require_unique(partners, "target.obs_names")
        label = "obs_names"
    else:
        require_key(source.obs, on, f"{name}.obs", "on")
        require_key(target.obs, on, "target.obs", "on")
        ids, partners = _column(source, on), _column(target, on)
        _require_one_row(partners, on)
        label = f".obs[{on!r}]"
    position = _positions(partners, ids)
    if not np.any(position >= 0):
        raise ValueError(
            f"no row of {name} is in target: compared {label}, {name} has {examples(ids.dropna().unique(), 3) or 'none'}, "
            f"target has {examples(partners.dropna().unique(), 3) or 'none'}; say on=, an .obs column that both have"
        )
    return position


def _column(adata: AnnData, on: str) -> pd.Index:
    return pd.Index(adata.obs[on].astype(object))


def _positions(partners: pd.Index, ids: pd.Index) -> np.ndarray:
    # missing identifiers are not equal to each other
    rows = np.flatnonzero(partners.notna())
    position = partners[rows].get_indexer(ids)
    return np.where(position >= 0, np.append(rows, -1)[position], -1)


def _require_one_row(partners: pd.Index, on: str) -> None:
    named = partners.dropna()
    if not named.is_unique:
        twice = named[named.duplicated()].unique()
        raise ValueError(
            f"target has several rows for {len(twice)} values of .obs[{on!r}]: {examples(twice, 3)}; "
            f"aggregate them first, for example `sc.get.aggregate(target, by={on!r}, func='mean')`"
        )
