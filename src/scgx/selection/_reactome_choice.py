from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scgx.estimators import BaseReactome, ReactomeConditions, column_mean
from scgx.selection._conformal import conformal_half_width
from scgx.selection._reactome import HeldOut, cross_validate_reactome
from scgx.selection._reactome_scores import reactome_scores
from scgx.selection._stack import stack_weights

_STACK = "stack"
_SILENT = "no_change"
_METRICS = ("cosine", "cosine_centred", "mae", "squared_error")


@dataclass(frozen=True)
class ReactomeChoice:
    """What predicts best where cells, or drugs, are held out.

    Attributes
    ----------
    method
        Name of the chosen method, ``"stack"`` for a weighted sum.
    weights
        Weight of each method whose departures from the training mean are summed; 1 for a single one.
    scores
        Mean over drug × organ cells of each metric, one row a method.
    half_width
        Half-width of the interval of each gene from held-out residuals of the chosen method.
    """

    method: str
    weights: dict[str, float]
    scores: pd.DataFrame
    half_width: np.ndarray

    def predict(
        self,
        members: dict[str, BaseReactome],
        mean: np.ndarray,
        conditions: ReactomeConditions,
    ) -> np.ndarray:
        """Sum of the fitted members by their weights, conditions × genes."""
        if self.method != _STACK:
            return members[self.method].predict(conditions)
        return mean + sum(weight * (members[name].predict(conditions) - mean) for name, weight in self.weights.items())


def choose_reactome(
    candidates: dict[str, BaseReactome],
    baselines: dict[str, BaseReactome],
    conditions: ReactomeConditions,
    values: np.ndarray,
    held_out: HeldOut,
    *,
    interval: float = 0.9,
    seed: int = 0,
    progress: bool = False,
) -> ReactomeChoice:
    """Choose among candidates, and their stack, by the squared error of held-out conditions.

    Parameters
    ----------
    candidates
        Unfitted methods to choose from; of two or more the non-negative stack (:func:`stack_weights`) is one more.
    baselines
        Methods to score beside them; ``"design_mean"`` is always among the two. ``"no_change"`` is scored, too.
    conditions, values
        Measured conditions (n) and responses, n × genes.
    held_out
        ``"cells"`` or ``"drugs"``; see :func:`reactome_folds`, for errors too.
    interval
        Level of the interval.
    seed
        Seed of the folds.
    progress
        Show a progress bar.
    """
    out = cross_validate_reactome(baselines | candidates, conditions, values, held_out, seed=seed, progress=progress)
    asked, truth = conditions.take(out.rows), values[out.rows]
    predictions = dict(out.folds.predictions)
    names = list(candidates)
    weights: dict[str, float] = {}
    if len(names) > 1 and len(out.folds.reference) > 1:
        members = replace(out.folds, predictions={name: predictions[name] for name in names})
        weights, predictions[_STACK] = stack_weights(members, truth)
        names.append(_STACK)
    base = predictions["design_mean"]
    predictions[_SILENT] = np.zeros_like(
        truth
    )  # where controls are matched even the design mean may be worse than nothing
    scores = pd.DataFrame(
        {name: reactome_scores(asked, truth, value, base)[list(_METRICS)].mean() for name, value in predictions.items()}
    ).T
    method = str(scores.loc[names, "squared_error"].idxmin())
    return ReactomeChoice(
        method=method,
        weights={name: w for name, w in weights.items() if w > 0} if method == _STACK else {method: 1.0},
        scores=scores,
        half_width=conformal_half_width(truth - predictions[method], interval),
    )


def fit_members(
    choices: list[ReactomeChoice],
    candidates: dict[str, BaseReactome],
    conditions: ReactomeConditions,
    values: np.ndarray,
) -> tuple[dict[str, BaseReactome], np.ndarray]:
    """Fit on all conditions what the choices need, and the mean over conditions."""
    needed = {name for choice in choices for name in choice.weights}
    return {name: candidates[name].fit(conditions, values) for name in sorted(needed)}, column_mean(values)
