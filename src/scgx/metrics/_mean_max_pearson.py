from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgx._core import examples

from ._average import average
from ._checks import cell_matrix, paired_cells
from ._correlation import deviations

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class MeanMaxPearson:
    """The DrugBERT paper's distribution score and what it must be read beside; each a mean over conditions.

    Attributes
    ----------
    prediction
        Of the predicted cells.
    replicates
        Of other real cells of the same condition: what a perfect model would score.
    constant_control
        Of one profile for everything, the mean of the control cells.
    permuted
        Of the cells predicted for *another* condition.
    """

    prediction: float
    replicates: float
    constant_control: float
    permuted: float


def mean_max_pearson(
    true: np.ndarray,
    predicted: np.ndarray,
    control: np.ndarray,
    *,
    true_condition: np.ndarray,
    predicted_condition: np.ndarray,
    seed: int = 0,
) -> MeanMaxPearson:
    r"""Correlation of each true cell with the best of the predicted cells, and the controls that unmask it.

    :math:`\operatorname{mean}_i \max_j r(x_i, \hat x_j)` over genes (Tan, Wang and Zhang, DrugBERT). A smooth profile
    correlates better with a noisy cell than another noisy cell does, so that a **constant** beats real replicates; and
    what cells have in common regardless of their treatment dominates, so that predictions for the wrong drug score as
    well. Therefore it comes only with both numbers. Use :func:`e_distance` to judge.

    Half of the true cells of each condition are scored against the other half (replicates), against as many predicted
    cells, and against as many cells predicted for another condition: a maximum grows with the number of candidates.

    Parameters
    ----------
    true
        Measured cells × genes, n × m.
    predicted
        Predicted cells × the same genes, p × m.
    control
        Measured control cells × the same genes.
    true_condition, predicted_condition
        Condition of each cell, n and p: the same conditions, at least two.
    seed
        Seed of the halves and of the permutation of conditions.

    Returns
    -------
    Four scores between −1 and 1. A predicted cell without variance scores 0, a true one is left out.

    Raises
    ------
    ValueError
        If a value is missing, the genes or the conditions differ, there is one condition only, or a condition has
        fewer than two true cells.
    """
    true, predicted = paired_cells(true, predicted)
    control = cell_matrix(control, "control")
    if control.shape[1] != true.shape[1]:
        raise ValueError(f"`control` has {control.shape[1]} genes and `true` {true.shape[1]}; give both the same genes")
    rows, predicted_rows = _by_condition(true_condition, predicted_condition)
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.array(sorted(rows)))
    scores = []
    for name, other in zip(order, np.roll(order, 1), strict=True):
        target, replicate = np.array_split(rng.permutation(rows[name]), 2)
        pools = (predicted[predicted_rows[name]], true[replicate], predicted[predicted_rows[other]])
        n_candidates = min(map(len, pools))
        own, real, wrong = (pool[rng.permutation(len(pool))[:n_candidates]] for pool in pools)
        constant = control.mean(axis=0, keepdims=True)
        scores.append([_mean_max(true[target], candidates) for candidates in (own, real, constant, wrong)])
    return MeanMaxPearson(*(average(column) for column in np.array(scores).T))


def _by_condition(true: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rows, predicted_rows = (
        {str(name): np.flatnonzero(labels == name) for name in np.unique(labels)}
        for labels in (np.asarray(true, dtype=str), np.asarray(predicted, dtype=str))
    )
    if rows.keys() != predicted_rows.keys() or len(rows) < 2:
        raise ValueError(
            "`true_condition` and `predicted_condition` must name the same conditions, at least two; found "
            f"{len(rows)} and {len(predicted_rows)}, only in one: {examples(sorted(rows.keys() ^ predicted_rows.keys()))}"
        )
    single = [name for name, index in rows.items() if len(index) < 2]
    if single:
        raise ValueError(
            f"`true_condition`: {examples(single)} have one true cell, which leaves no replicate; drop these conditions"
        )
    return rows, predicted_rows


def _mean_max(true: np.ndarray, candidates: np.ndarray) -> float:
    x, flat = _unit_rows(true)
    y, _ = _unit_rows(candidates)
    best = [(x[i : i + _BLOCK_ROWS] @ y.T).max(axis=1) for i in range(0, len(x), _BLOCK_ROWS)]
    return average(np.where(flat, np.nan, np.concatenate(best)))


def _unit_rows(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose dot products are correlations, 0 for a row without variance, and which those are."""
    delta, flat = deviations(cells, 0.0, np.ones(cells.shape, dtype=bool))
    length = np.linalg.norm(delta, axis=1, keepdims=True)
    return np.divide(delta, length, out=np.zeros_like(delta), where=~flat[:, None]), flat
