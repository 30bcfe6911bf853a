from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx._core import registered_target
from scgx.selection import leave_one_out_offset, shrunk_mean, study_shift

if TYPE_CHECKING:
    from scgx.tl._fitted import Fitted


def calibrated(
    fitted: Fitted,
    adata: AnnData,
    X: np.ndarray,
    tissue: np.ndarray | None,
    groups: np.ndarray | None,
    target_key: str,
) -> Fitted:
    """What :meth:`scgx.tl.Translator.calibrate` learns from a new study.

    Parameters
    ----------
    fitted
        What was learned from the training study.
    adata
        The new study.
    X, tissue, groups
        Its source values (n × p, genes as in training, NaN where missing), tissues and groups.
    target_key
        Where its target is, if it has one.
    """
    if len(X) < 2:
        raise ValueError(f"the new study has {len(X)} rows; `calibrate` needs at least 2 to tell a shift from noise.")
    shift = study_shift(X, fitted.source_mean, fitted.source_deviation, groups)
    if target_key not in adata.obsm:
        word = f"source shift, {len(X)} rows" if shift.any() else "none"
        return replace(fitted, source_shift=shift, calibration=word, rows=None)
    Y, genes, _, _ = registered_target(adata, target_key)
    if not np.array_equal(genes, fitted.target_genes):
        raise ValueError(
            f".obsm[{target_key!r}] of the new study has {len(genes)} genes, the translator predicts "
            f"{len(fitted.target_genes)}, or others; register the panel that the translator was fitted on."
        )
    pairs = np.isfinite(Y).any(axis=1)
    if pairs.sum() < 2:
        raise ValueError(f"the new study has {pairs.sum()} rows with a measured target; give at least 2, or none.")
    tissue = None if tissue is None else tissue[pairs]
    groups = None if groups is None else groups[pairs]
    none = np.zeros_like(shift)
    options: dict[str, tuple[float, np.ndarray, np.ndarray]] = {}
    for name, source_shift in (("none", none), ("source shift", shift)):
        residuals = Y[pairs] - fitted.estimator.predict(X[pairs] - source_shift, tissue=tissue)
        corrected = residuals - leave_one_out_offset(residuals, groups)
        offset = shrunk_mean(residuals, groups)
        options[name] = (float(np.nansum(residuals**2)), source_shift, np.zeros_like(offset))
        both = "target offset" if name == "none" else f"{name} + target offset"
        options[both] = (float(np.nansum(corrected**2)), source_shift, offset)
    best = min(options, key=lambda name: options[name][0])
    _, source_shift, offset = options[best]
    return replace(
        fitted,
        source_shift=source_shift,
        target_offset=offset,
        calibration=f"{best}, {int(pairs.sum())} pairs",
        rows=None,
    )
