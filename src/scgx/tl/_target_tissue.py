from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.base import clone

from scgx._core import TrainingData
from scgx.estimators import BaseTranslator
from scgx.metrics import interval_coverage
from scgx.selection import AutoTranslator, prediction_scores
from scgx.tl._fitted import Fitted


def target_tissue_scores(
    estimator: AutoTranslator,
    baselines: Mapping[str, BaseTranslator],
    training: TrainingData,
    held_out: TrainingData,
) -> dict[str, np.ndarray]:
    """Score a tissue that was left out of training on its measured rows.

    Parameters
    ----------
    estimator
        Fitted on ``training``.
    baselines
        Unfitted, by name.
    training
        Rows fitted on.
    held_out
        Measured rows of the target tissue, none of which was fitted.

    Returns
    -------
    Columns: ``method`` (what was chosen, then the baselines), ``rows`` (``"all rows"``, or ``"new groups"`` for the rows
    of groups that no training tissue holds), ``n_rows``, and the measures of
    :func:`scgx.selection.prediction_scores` around the gene means of the training rows.
    """
    predictions = {estimator.chosen_: estimator.predict(held_out.X, tissue=held_out.tissue)}
    for name, baseline in baselines.items():
        model = clone(baseline).fit(training.X, training.Y, groups=training.groups, tissue=training.tissue)
        predictions.setdefault(name, model.predict(held_out.X, tissue=held_out.tissue))
    subsets = {"all rows": np.ones(len(held_out.X), dtype=bool)}
    if training.groups is not None and held_out.groups is not None:
        subsets["new groups"] = ~np.isin(held_out.groups, training.groups)
    table = [
        {"method": method, "rows": name, "n_rows": int(rows.sum())}
        | prediction_scores(held_out.Y[rows], predicted[rows], estimator.mean_)
        for name, rows in subsets.items()
        if rows.any()
        for method, predicted in predictions.items()
    ]
    return {column: np.array([row[column] for row in table]) for column in table[0]}


def target_tissue_coverage(fitted: Fitted, held_out: TrainingData) -> float:
    """Share of the target tissue's measurements within the interval, which the training rows gave."""
    predicted = fitted.estimator.predict(held_out.X, tissue=held_out.tissue)
    labels = np.empty(0, dtype=str) if held_out.tissue is None else held_out.tissue[:1]
    own = fitted.tissue_half_width[np.isin(fitted.tissues, labels)]  # drawn samples give the tissue a row
    return interval_coverage(held_out.Y, predicted, own[0] if len(own) else fitted.half_width)
