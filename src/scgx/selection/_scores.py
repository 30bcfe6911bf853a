from __future__ import annotations

import numpy as np

from scgx.metrics import average, mae, pearson, pearson_delta, pearson_within_gene, r2_skill


def prediction_scores(true: np.ndarray, predicted: np.ndarray, center: np.ndarray) -> dict[str, float]:
    """Score held-out rows by the measures that every table of scgx shows.

    Parameters
    ----------
    true
        Measured values, n × m, NaN where not measured.
    predicted
        Predictions, n × m.
    center
        Gene means of the training rows: m, or n × m where rows were held out in different folds.

    Returns
    -------
    ``skill``, ``mae``, ``pearson``, ``pearson_delta``, ``pearson_within_gene``; see :mod:`scgx.metrics`. The last one is
    of deviations from ``center``: folds differ in it, and a constant would correlate negatively.
    """
    return {
        "skill": r2_skill(true, predicted, center),
        "mae": mae(true, predicted),
        "pearson": average(pearson(true, predicted)),
        "pearson_delta": average(pearson_delta(true, predicted, center)),
        "pearson_within_gene": average(pearson_within_gene(true - center, predicted - center)),
    }
