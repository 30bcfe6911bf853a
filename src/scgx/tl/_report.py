from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scgx.tl._fitted import Fitted

if TYPE_CHECKING:
    from scgx.tl._translator import Translator


def report_of(settings: Translator, fitted: Fitted) -> dict[str, Any]:
    """What :meth:`scgx.tl.Translator.report` returns."""
    scores = fitted.estimator.scores_
    report = {
        "method": fitted.estimator.chosen_,
        "weights": dict(fitted.estimator.weights_),
        "target_genes": fitted.target_genes,
        "scores": score_columns(scores),
        "split": "random (optimistic)" if settings.group_key is None else f"grouped by {settings.group_key}",
        "interval": settings.interval,
        "half_width": fitted.half_width,
        "tissues": fitted.tissues,
        "tissue_half_width": fitted.tissue_half_width,
        "tissue_key": settings.tissue_key or "",
        "training": settings.training,
        "coverage": fitted.coverage,
        "calibration": fitted.calibration,
        "n_measured": fitted.n_measured,
        "n_source_genes": len(fitted.source_genes),
        "n_shared_genes": len(np.unique(fitted.pairs[:, 1])),
        "seed": settings.seed,
    }
    if settings.target_tissue is None:
        return report
    return report | {
        "target_tissue": settings.target_tissue,
        "n_target_samples": settings.n_target_samples if settings.training == "cross*" else 0,
        "target_tissue_scores": fitted.target_scores,
        "target_tissue_coverage": fitted.target_coverage,
    }


def score_columns(scores: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """One array a column, one row a method: the form of scores in every record."""
    return {column: np.array([row[column] for row in scores]) for column in scores[0]}
