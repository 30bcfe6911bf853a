from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from scgx.estimators import SpeciesResponses
from scgx.selection._transfer import (
    TRANSFER_BASELINES,
    ChosenTransfer,
    TransferSplit,
    choose_transfer,
    is_fittable,
    predict_transfer,
    transfer_folds,
)


@dataclass(frozen=True)
class TransferFold:
    """Predictions of the cells of one fold, by methods and by a choice that never saw them.

    Attributes
    ----------
    hidden
        Cells held out, c × g.
    predictions
        c × g a method, ``"auto"`` (what the inner cross-validation chose) among them; NaN outside the fold.
    chosen
        The inner choice, whose residuals give intervals.
    """

    hidden: np.ndarray
    predictions: dict[str, np.ndarray]
    chosen: ChosenTransfer


def nested_transfer(
    responses: SpeciesResponses,
    names: Sequence[str],
    split: TransferSplit,
    groups: np.ndarray,
    *,
    n_folds: int = 5,
    n_inner_folds: int = 3,
    seed: int = 0,
    progress: str = "",
) -> Iterator[TransferFold]:
    """Hold out folds, choose among methods within the rest, predict what was held out.

    Parameters
    ----------
    responses, names, split, groups, seed
        See :func:`choose_transfer`.
    n_folds, n_inner_folds
        Folds of genes outside, and inside each.
    progress
        Title of the progress bar; none if empty.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or too little is left to learn from.
    """
    fold = transfer_folds(responses, split, groups, n_folds=n_folds, seed=seed)
    labels = np.unique(fold[fold >= 0])
    if len(labels) < 2:
        raise ValueError(f"`split={split!r}` gives {len(labels)} fold of measured cells; it needs at least 2.")
    for k in tqdm(labels, desc=progress, disable=not progress, delay=2):
        hidden = fold == k
        known = responses.hide(hidden)
        if not is_fittable(known):
            raise ValueError(f"`split={split!r}` leaves too few measured cells to learn from; measure more.")
        chosen = choose_transfer(known, names, split, groups, n_folds=n_inner_folds, seed=seed)
        rows = np.flatnonzero(hidden.any(axis=1)).tolist()
        predictions = {}
        for name in dict.fromkeys([*TRANSFER_BASELINES, *names]):
            predictions[name] = np.full(hidden.shape, np.nan)
            predictions[name][rows] = predict_transfer(known, {name: 1.0}, rows, seed)
        predictions["auto"] = np.sum([weight * predictions[name] for name, weight in chosen.weights.items()], axis=0)
        inside = {name: np.where(hidden, one, np.nan) for name, one in predictions.items()}
        yield TransferFold(hidden, inside, chosen)
