from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from scgx.estimators import BaseResponse, MeanDelta
from scgx.metrics import mse_top20_de, pearson, pearson_delta
from scgx.selection._auto import STACK
from scgx.selection._cross_validate import OutOfFold
from scgx.selection._measured_responses import MeasuredResponses
from scgx.selection._stack import stack_weights

CEILING = "split_half"
#: of the stack towards equal weights; settled on simulated screens and on inner folds of L1000 A375, where 0.3 to 10 do as well
_SHRINKAGE = 1.0

#: metric → one value a held-out condition
ConditionScores = dict[str, np.ndarray]


@dataclass(frozen=True)
class HeldOutResponses:
    """Predictions of conditions by responses that never saw what they were held out for.

    Attributes
    ----------
    rows, fold
        Held-out conditions (t) and the fold of each.
    scores
        Method → metric → one value a held-out condition, mean over divisions of the control cells: the responses,
        their ``"stack"``, and the ``"split_half"`` ceiling where conditions have several cells.
    weights
        Of the stack's members, relative to the mean change; mean over divisions.
    residuals
        Measured less predicted change of each method, t × genes, in the first division.
    seconds
        Time of each response.
    control_noise
        Squared error that a measured change has here and not in use, where all control cells are on the predicting side,
        t: half of the variance of the mean of a half of them, summed over genes. No change is spared it.
    """

    rows: np.ndarray
    fold: np.ndarray
    scores: dict[str, ConditionScores]
    weights: dict[str, float]
    residuals: dict[str, np.ndarray]
    seconds: dict[str, float]
    control_noise: np.ndarray


def cross_validate_responses(
    measured: MeasuredResponses,
    responses: Mapping[str, BaseResponse],
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    stacked: Sequence[str] = (),
    progress: bool = False,
) -> HeldOutResponses:
    """Score responses on held-out conditions, in each division of the control cells.

    Measured changes are taken against one half of the control cells, everything that predicts sees the other half only: the
    noise of cells that stand on both sides would count as agreement.

    Parameters
    ----------
    measured
        n conditions.
    responses
        Unfitted responses by name; each is cloned for every fold and division.
    folds
        Train and test rows; a condition is tested once at most.
    stacked
        Names of the responses to stack with non-negative weights; no stack of fewer than two.
    progress
        Show a progress bar.
    """
    rows = np.concatenate([test for _, test in folds])
    fold = np.repeat(np.arange(len(folds)), [len(test) for _, test in folds])
    seconds = dict.fromkeys(responses, 0.0)
    collected: dict[str, list[ConditionScores]] = {}
    weights: list[dict[str, float]] = []
    residuals: dict[str, np.ndarray] = {}
    control_noise: list[np.ndarray] = []
    divisions, several = list(measured.divisions()), bool(np.isfinite(measured.halves[:, rows]).all())
    bar = tqdm(total=len(divisions) * len(folds) * len(responses), desc="held out", disable=not progress, delay=2)
    for conditions, true_control in divisions:
        delta, truth = measured.mean - conditions.control, (measured.mean - true_control)[rows]
        control_noise.append(((true_control - conditions.control)[rows] ** 2).sum(axis=1) / 4)
        predictions = {name: np.empty(truth.shape, dtype=np.float32) for name in responses}
        center, true_center = np.empty(truth.shape), np.empty(truth.shape)
        for k, (train, test) in enumerate(folds):
            known, asked = conditions.take(train), conditions.take(test)
            center[fold == k], true_center[fold == k] = (
                MeanDelta().fit(known, change[train]).predict(asked) for change in (delta, measured.mean - true_control)
            )
            for name, response in responses.items():
                start = time.perf_counter()
                predictions[name][fold == k] = clone(response).fit(known, delta[train]).predict(asked)
                seconds[name] += time.perf_counter() - start
                bar.update()
        if len(stacked) > 1:
            members = {name: predictions[name] for name in stacked}
            found, predictions[STACK] = _stacked(members, truth, center, fold)
            weights.append(found)
        if not residuals:
            residuals = {name: truth - predicted for name, predicted in predictions.items()}
        for name, predicted in predictions.items():
            collected.setdefault(name, []).append(_score(truth, predicted, true_center, center))
        if several:  # a well has no halves
            half, other = measured.halves[:, rows]
            ceiling = _score(half - true_control[rows], other - conditions.control[rows], true_center, center)
            collected.setdefault(CEILING, []).append(ceiling)
    bar.close()
    return HeldOutResponses(
        rows=rows,
        fold=fold,
        scores={
            name: {m: np.mean([one[m] for one in some], axis=0) for m in some[0]} for name, some in collected.items()
        },
        weights={name: float(np.mean([one[name] for one in weights])) for name in stacked if weights},
        residuals=residuals,
        seconds=seconds | {STACK: sum(seconds.values())},
        control_noise=np.mean(control_noise, axis=0),
    )


def _stacked(
    predictions: dict[str, np.ndarray], truth: np.ndarray, center: np.ndarray, fold: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Weights of the responses' departures from the mean change, and what they predict out of fold."""
    departures = {name: (predicted - center).astype(np.float32) for name, predicted in predictions.items()}
    nothing = np.zeros((fold.max() + 1, truth.shape[1]), dtype=np.float32)
    weights, stacked = stack_weights(OutOfFold(departures, nothing, fold, {}), truth - center, shrinkage=_SHRINKAGE)
    return weights, (center + stacked).astype(np.float32)


def _score(truth: np.ndarray, predicted: np.ndarray, true_center: np.ndarray, center: np.ndarray) -> ConditionScores:
    return {
        "pearson_delta": pearson(truth, predicted),
        "pearson_delta_mean": pearson_delta(truth, predicted, true_center, center),
        "mae": np.abs(truth - predicted).mean(axis=1),
        "mse_top20": mse_top20_de(truth, predicted),
        "squared_error": ((truth - predicted) ** 2).sum(axis=1),
        "reference_squared_error": ((truth - center) ** 2).sum(axis=1),
    }
