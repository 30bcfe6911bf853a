from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx._core import registered_target
from scgx.selection import leave_one_out_offset, shrunk_mean, study_scale, study_shift

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
    relative, common = study_scale(X, fitted.source_deviation, groups, n_training=fitted.n_measured)
    if target_key not in adata.obsm:
        done = ["source shift"] * bool(shift.any()) + ["relative scale"] * bool((relative != 1).any())
        word = f"{' and '.join(done)}, {len(X)} rows" if done else "none"
        return replace(fitted, source_shift=shift, source_scale=relative, calibration=word, rows=None)
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
    ways = {
        "none": replace(fitted, source_shift=np.zeros_like(shift), source_scale=None),
        "source shift": replace(fitted, source_shift=shift, source_scale=None),
        "source shift + relative scale": replace(fitted, source_shift=shift, source_scale=relative),
        "source shift + scale": replace(fitted, source_shift=shift, source_scale=relative * np.float32(common)),
    }
    options: dict[str, tuple[float, Fitted]] = {}
    for name, way in ways.items():
        residuals = Y[pairs] - fitted.estimator.predict(way.adapted(X[pairs]), tissue=tissue)
        corrected = residuals - leave_one_out_offset(residuals, groups)
        offset = shrunk_mean(residuals, groups)
        options[name] = (float(np.nansum(residuals**2)), replace(way, target_offset=np.zeros_like(offset)))
        both = "target offset" if name == "none" else f"{name} + target offset"
        options[both] = (float(np.nansum(corrected**2)), replace(way, target_offset=offset))
    best = min(options, key=lambda name: options[name][0])
    return replace(options[best][1], calibration=f"{best}, {int(pairs.sum())} pairs", rows=None)
