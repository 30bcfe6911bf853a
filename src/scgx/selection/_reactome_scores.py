from __future__ import annotations

import numpy as np
import pandas as pd

from scgx.estimators import ReactomeConditions, cell_means


def reactome_scores(
    conditions: ReactomeConditions, truth: np.ndarray, prediction: np.ndarray, design_mean: np.ndarray
) -> pd.DataFrame:
    """Scores of each drug × organ cell, its conditions averaged first.

    Parameters
    ----------
    conditions
        n conditions.
    truth, prediction, design_mean
        Responses, what is predicted, and what the design alone predicts, n × genes.

    Returns
    -------
    One row a cell: ``drug`` and ``organ`` (codes); ``cosine``; ``cosine_centred``, the cosine after removing the design
    mean from both, 0 where the prediction is the design mean; ``mae`` and ``squared_error``, means over genes.
    """
    first = cell_means(conditions, truth[:, :1])[0]
    true, predicted, mean = (cell_means(conditions, values)[2] for values in (truth, prediction, design_mean))
    return pd.DataFrame(
        {
            "drug": conditions.drug[first],
            "organ": conditions.organ[first],
            "cosine": _cosine(true, predicted),
            "cosine_centred": _cosine(true - mean, predicted - mean),
            "mae": np.abs(true - predicted).mean(axis=1),
            "squared_error": np.square(true - predicted).mean(axis=1),
        }
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), scale, out=np.zeros(len(a), dtype=np.float32), where=scale > 1e-6)
