from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from scgx.estimators import (
    FEWEST_GENES,
    SpeciesResponses,
    affine_transfer,
    boosting_transfer,
    copy_transfer,
    group_folds,
    latent_transfer,
    mean_over,
    no_transfer,
    ridge_transfer,
    species_mean_transfer,
)
from scgx.metrics import average, deg_sign_accuracy, mae, pearson, pearson_delta
from scgx.selection._auto import STACK
from scgx.selection._cross_validate import OutOfFold
from scgx.selection._stack import stack_weights

Transfer = Callable[[SpeciesResponses, np.ndarray], np.ndarray]
TransferSplit = Literal["gene", "cell", "condition"]

#: name → method, given a seed
TRANSFERS: dict[str, Callable[[int], Transfer]] = {
    "no_change": lambda seed: no_transfer,
    "copy": lambda seed: copy_transfer,
    "species_mean": lambda seed: species_mean_transfer,
    "affine": lambda seed: affine_transfer,
    "latent_arithmetic": lambda seed: latent_transfer,
    "ridge": lambda seed: partial(ridge_transfer, seed=seed),
    "boosting": lambda seed: partial(boosting_transfer, seed=seed),
}
#: methods that fit nothing and that every table shows
TRANSFER_BASELINES = ("no_change", "copy", "species_mean")
#: methods of a few numbers, which alone are carried to a new condition from a single measured one: more would learn
#: what is special to that one, and nothing could tell
_FEW_NUMBERS = ("no_change", "copy", "species_mean", "affine")
#: share of a condition's genes, the most strongly changed, whose sign is scored
_STRONG = 0.1


@dataclass(frozen=True)
class ChosenTransfer:
    """What cross-validation chose.

    Attributes
    ----------
    method
        Name of what predicts.
    weights
        Weight of each method in it.
    split
        What was held out.
    out_of_fold
        Its predictions of the cells held out, c × g, NaN elsewhere.
    fold
        Fold in which each cell was held out, c × g, −1 elsewhere.
    scores
        One dict a method: ``split``, ``method``, ``role`` and the scores of :func:`transfer_scores`.
    """

    method: str
    weights: dict[str, float]
    split: str
    out_of_fold: np.ndarray
    fold: np.ndarray
    scores: list[dict[str, Any]]


def transfer_names(method: str | Sequence[str]) -> list[str]:
    """Names of the candidates: what was asked for, or all that ``"auto"`` tries.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest.
    """
    asked = [method] if isinstance(method, str) else list(method)
    known = ["auto", *TRANSFERS]
    for name in asked:
        if name not in known:
            near = get_close_matches(str(name), known, n=2) or known
            raise ValueError(f"`method` {name!r} is unknown; nearest: {', '.join(map(repr, near))}; one of {known}.")
    return list(TRANSFERS) if "auto" in asked else list(dict.fromkeys(asked))


def transfer_scores(true: np.ndarray, predicted: np.ndarray, center: np.ndarray) -> dict[str, float]:
    """Score predicted responses, as means over conditions.

    Parameters
    ----------
    true, predicted
        c × g; cells that are NaN in either do not count.
    center
        Mean of the reference species, c × g.

    Returns
    -------
    ``pearson`` over genes, ``pearson_delta`` (after removing the mean of the reference species from both: what is
    special to the query species; 0 for a prediction that says nothing of it), ``mae``, ``skill`` (1 − squared error /
    squared error of no change) and ``sign_accuracy`` over the tenth of a condition's genes that changed most.
    """
    used = np.isfinite(true) & np.isfinite(predicted)
    rows = used.any(axis=1)
    truth = np.where(used, true, np.nan)[rows]
    guess, center = np.where(used, predicted, 0)[rows], np.nan_to_num(center)[rows]
    cut = np.nanquantile(np.abs(truth), 1 - _STRONG, axis=1, keepdims=True) if rows.any() else np.empty((0, 1))
    special = pearson_delta(truth, guess, center)
    no_change = np.nansum(truth**2)
    return {
        "pearson": average(np.nan_to_num(pearson(truth, guess))),
        "pearson_delta": average(np.nan_to_num(special)),
        "mae": mae(truth, guess),
        "skill": float(1 - np.nansum((truth - guess) ** 2) / no_change) if no_change else float("nan"),
        "sign_accuracy": average(deg_sign_accuracy(truth, guess, np.abs(truth) >= cut)),
    }


def transfer_folds(
    responses: SpeciesResponses, split: TransferSplit, groups: np.ndarray, *, n_folds: int, seed: int
) -> np.ndarray:
    """Fold in which each measured cell is held out, c × g, −1 for a cell that is not.

    Parameters
    ----------
    responses
        What the query measured.
    split
        ``"gene"``: a gene in all conditions. ``"cell"``: a gene in some conditions, known in others. ``"condition"``: whole
        conditions, one at a time where there are at most 2 × ``n_folds``.
    groups
        Orthologue group of each gene; kept whole.
    n_folds, seed
        Of the folds.
    """
    held = np.isfinite(responses.query) & np.isfinite(mean_over(responses.reference))
    n_conditions, n_genes = held.shape
    if split == "condition":
        order = np.random.default_rng(seed).permutation(n_conditions)
        fold = np.tile(order[:, None] % min(n_conditions, 2 * n_folds), n_genes)
    else:
        of_gene = np.empty(n_genes, dtype=int)
        folds = group_folds(n_genes, groups, n_folds=n_folds, seed=seed)
        for k, (_, test) in enumerate(folds):
            of_gene[test] = k
        # shifted from condition to condition, so that a gene is not held out everywhere at once
        shift = np.arange(n_conditions)[:, None] if split == "cell" else 0
        fold = np.broadcast_to((of_gene + shift) % len(folds), held.shape)
    return np.where(held, fold, -1)


def measured_conditions(responses: SpeciesResponses) -> np.ndarray:
    """Conditions of which the query measured enough genes for a fit."""
    return np.array([k for k in range(len(responses.query)) if responses.enough(k)], dtype=int)


def is_fittable(responses: SpeciesResponses) -> bool:
    """Whether the query measured enough to fit and to validate anything."""
    both = np.isfinite(responses.query) & np.isfinite(mean_over(responses.reference))
    return bool(both.sum() >= 2 * FEWEST_GENES)


def choose_transfer(
    responses: SpeciesResponses,
    names: Sequence[str],
    split: TransferSplit,
    groups: np.ndarray,
    *,
    n_folds: int = 5,
    seed: int = 0,
    progress: bool = False,
) -> ChosenTransfer:
    """Cross-validate methods and baselines, stack the methods, keep what has the smallest squared error.

    Parameters
    ----------
    responses
        What the query and the reference species measured.
    names
        Candidates in :data:`TRANSFERS`; several of them are stacked with non-negative weights
        (:func:`stack_weights`; the stack's own score uses weights of the other folds). Baselines are scored beside them.
    split
        See :func:`transfer_folds`. Where fewer than two conditions are measured, ``"condition"`` becomes ``"gene"`` with
        the copies, the mean and the affine fit only, if they are among ``names``.
    groups
        Orthologue group of each gene.
    n_folds, seed
        Of genes; the seed is also that of the methods.
    progress
        Show a progress bar.
    """
    if split == "condition" and len(measured_conditions(responses)) < 2:
        split = "gene"
        names = [name for name in names if name in _FEW_NUMBERS] or names
    fold = transfer_folds(responses, split, groups, n_folds=n_folds, seed=seed)
    predictions = _out_of_fold(responses, [*TRANSFER_BASELINES, *names], fold, seed, progress)
    candidates = list(dict.fromkeys(names))
    cells = fold >= 0
    truth = responses.query[cells][:, None]
    weights: dict[str, float] = {}
    if len(candidates) > 1:
        flat = {
            name: predictions[name][cells][:, None].astype(np.float32) for name in candidates if name != "no_change"
        }
        k, of_cell = np.unique(fold[cells], return_inverse=True)
        out = OutOfFold(flat, np.zeros((len(k), 1), dtype=np.float32), of_cell, {})
        weights, stacked = stack_weights(out, truth)
        predictions[STACK] = np.full(fold.shape, np.nan)
        predictions[STACK][cells] = stacked[:, 0]
        candidates.append(STACK)
    center = mean_over(responses.reference)
    scores = [
        {"split": split, "method": name, "role": "baseline" if name in TRANSFER_BASELINES else "candidate"}
        | transfer_scores(np.where(cells, responses.query, np.nan), predicted, center)
        for name, predicted in predictions.items()
    ]
    skill = {row["method"]: row["skill"] for row in scores}
    chosen = max(candidates, key=lambda name: skill[name])
    kept = {k: w for k, w in weights.items() if w > 0} if chosen == STACK else {chosen: 1.0}
    return ChosenTransfer(chosen, kept, split, predictions[chosen], fold, scores)


def predict_transfer(
    responses: SpeciesResponses, weights: dict[str, float], conditions: Sequence[int], seed: int
) -> np.ndarray:
    """Weighted sum of methods, conditions × g; see :class:`SpeciesResponses` for what counts as a prediction."""
    rows = np.asarray(conditions, dtype=int)
    total = np.zeros((len(rows), responses.query.shape[1]))
    for name, weight in weights.items():
        total += weight * TRANSFERS[name](seed)(responses, rows)
    return total


def _out_of_fold(
    responses: SpeciesResponses, names: Sequence[str], fold: np.ndarray, seed: int, progress: bool
) -> dict[str, np.ndarray]:
    """Predictions of the cells of each fold from all others, c × g a method."""
    methods = {name: TRANSFERS[name](seed) for name in dict.fromkeys(names)}
    predictions = {name: np.full(fold.shape, np.nan) for name in methods}
    folds = np.unique(fold[fold >= 0])
    bar = tqdm(total=len(folds) * len(methods), desc="cross-validation", disable=not progress, delay=2)
    for k in folds:
        hidden = fold == k
        known = responses.hide(hidden)
        for name, method in methods.items():
            bar.set_postfix_str(name, refresh=False)
            rows = np.flatnonzero(hidden.any(axis=1))
            predictions[name][hidden] = method(known, rows)[hidden[rows]]
            bar.update()
    bar.close()
    return predictions
