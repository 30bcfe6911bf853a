from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from scgx._core import TranslateKeys, registered_target, require_key, require_same_target


@dataclass(frozen=True)
class Measured:
    """Rows whose target was measured.

    Attributes
    ----------
    rows
        Their positions in the object, n.
    true, predicted
        Measured (NaN where not) and translated values, n × m.
    report
        What :func:`scgx.tl.translate` wrote to ``.uns``.
    """

    rows: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    report: dict[str, Any]

    def labels(self, adata: AnnData, group_key: str | None) -> np.ndarray:
        """Group of each row as text; without a key each row is its own."""
        if group_key is None:
            return self.rows.astype(str)
        require_key(adata.obs.columns, group_key, ".obs", "group_key")
        return adata.obs[group_key].iloc[self.rows].astype(str).to_numpy(dtype=str)


def measured_rows(adata: AnnData, key: str, target_key: str) -> Measured:
    """Translated and measured values of the measured rows.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If fewer than three rows are measured, or translated and registered target have different genes.
    """
    keys = TranslateKeys.from_key_added(key)
    require_key(adata.obsm.keys(), keys.obsm, ".obsm", "key")
    true, names, _, _ = registered_target(adata, target_key)
    report = adata.uns[keys.uns]
    require_same_target(names, report["target_genes"], target_key=target_key, key=key)
    rows = np.flatnonzero(np.isfinite(true).any(axis=1))
    if len(rows) < 3:
        raise ValueError(f"{len(rows)} rows have a measured target in .obsm[{target_key!r}]; at least 3 are needed.")
    return Measured(rows, true[rows], np.asarray(adata.obsm[keys.obsm])[rows], report)
