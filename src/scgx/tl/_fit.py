from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scgx._core import TrainingData, training_data
from scgx.selection import (
    BASELINES,
    NEEDS_SHARED_GENES,
    AutoTranslator,
    conformal_half_width,
    for_training,
    make_candidates,
    training_rows,
)
from scgx.tl._fitted import Fitted, fitted_from
from scgx.tl._target_tissue import target_tissue_coverage, target_tissue_scores

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from scgx.tl._translator import Translator


def fitted_to(settings: Translator, data: AnnData | MuData) -> Fitted:
    """What :meth:`scgx.tl.Translator.fit` learns: choose rows, cross-validate, fit, test on the target tissue."""
    measured = training_data(
        data,
        target_key=settings.target_key,
        layer=settings.layer,
        group_key=settings.group_key,
        tissue_key=settings.tissue_key,
    )
    rows = training_rows(
        settings.training,
        len(measured.X),
        tissue=measured.tissue,
        target_tissue=settings.target_tissue,
        groups=measured.groups,
        n_target_samples=settings.n_target_samples,
        seed=settings.seed,
    )
    pairs, seed = measured.pairs, settings.seed
    baselines = make_candidates(
        [name for name in _baselines(settings.training) if len(pairs) or name not in NEEDS_SHARED_GENES],
        pairs=pairs,
        seed=seed,
    )
    candidates = make_candidates(settings.method, pairs=pairs, seed=seed)
    estimator = AutoTranslator(
        for_training(settings.training, candidates, settings.target_tissue),
        baselines=baselines,
        seed=seed,
        progress=True,
    )
    # a wrong level must not cost a fit
    conformal_half_width(np.empty((0, 0)), settings.interval)
    training, held_out = _take(measured, rows.fit), _take(measured, rows.held_out)
    estimator.fit(training.X, training.Y, groups=training.groups, tissue=training.tissue)
    fitted = fitted_from(estimator, training, settings.interval)
    if not len(held_out.rows):
        return fitted
    return replace(
        fitted,
        target_scores=target_tissue_scores(estimator, baselines, training, held_out),
        target_coverage=target_tissue_coverage(fitted, held_out),
    )


def _baselines(training: str) -> tuple[str, ...]:
    """Where tissues are told apart, so must the trivial methods be."""
    return BASELINES if training in ("mixed", "cross") else (*BASELINES, "tissue_mean")


def _take(data: TrainingData, rows: np.ndarray) -> TrainingData:
    return replace(
        data,
        X=data.X[rows],
        Y=data.Y[rows],
        rows=data.rows[rows],
        groups=None if data.groups is None else data.groups[rows],
        tissue=None if data.tissue is None else data.tissue[rows],
    )
