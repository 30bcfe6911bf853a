from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.base import BaseEstimator
from tqdm import tqdm

from scgx._core import TrainingData, training_data
from scgx.estimators import BaseTranslator, column_mean, group_folds
from scgx.metrics import interval_coverage, interval_width, mae_extreme, mae_strong
from scgx.selection import (
    NEEDS_SHARED_GENES,
    AutoTranslator,
    conformal_half_width,
    for_training,
    make_candidates,
    prediction_scores,
)

if TYPE_CHECKING:
    from mudata import MuData

#: trivial predictors that every benchmark runs
BASELINES = ("mean", "median", "copy", "same_gene", "quantile", "shuffled_pairs")
#: methods compared by default
METHODS = ("ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "random_forest", "auto")
_WITH_INTERVAL = ("mean", "auto")

Training = Literal["mixed", "single"]
Split = Literal["group", "tissue"]


def translate(
    data: AnnData | MuData,
    *,
    methods: Sequence[str | BaseEstimator] = METHODS,
    target_key: str = "target",
    layer: str | None = None,
    group_key: str | None = None,
    tissue_key: str | None = None,
    training: Training = "mixed",
    split: Split = "group",
    interval: float = 0.9,
    n_folds: int = 5,
    dataset: str = "data",
    seed: int = 0,
) -> pd.DataFrame:
    """Benchmark translation methods on groups they never saw, all baselines beside them.

    Every fold holds out whole groups; scaling, tuning, stacking and interval widths see the training rows only.

    Parameters
    ----------
    data
        AnnData with a registered target, or MuData of :func:`scgx.pp.pair`.
    methods
        Names in :data:`scgx.selection.METHODS`, ``"auto"``, and scikit-learn regressors of your own, which are called
        by their class in the result. Names that need shared genes are left out where the panels share none. Baselines are added: mean, median, mean per tissue, same-gene copy and affine fit,
        quantile normalisation, and ridge trained on shuffled pairs.
    target_key, layer, group_key, tissue_key, interval
        See :class:`scgx.tl.Translator`.
    training
        ``"single"``: each method fits a model a tissue (:class:`scgx.estimators.PerTissue`) and is called, for example,
        ``"ridge per tissue"``. Baselines stay as they are. The frames of both modes can be joined for :func:`compare`.
    split
        ``"group"``: folds of whole groups. ``"tissue"``: each tissue is held out once, what others teach is tested on it
        (cross-tissue) and ``fold`` is its name. A group may then be in training with its other tissues: the split is new
        in tissue, not in compound.
    n_folds
        Outer folds of ``split="group"``.
    dataset
        Name in the result.
    seed
        Seed of folds and methods.

    Returns
    -------
    Tidy frame with columns ``dataset``, ``split``, ``fold``, ``group``, ``method``, ``role`` (baseline or
    candidate), ``metric``, ``value``. Rows with an empty ``group`` score a fold: ``skill`` (over the gene means of
    the training rows), ``mae``, ``mae_strong``, ``mae_extreme``, ``pearson``, ``pearson_delta``,
    ``pearson_within_gene``, ``seconds``, and for ``mean`` and ``auto`` ``coverage`` and ``width``. Rows with a
    group hold ``squared_error`` and ``reference_squared_error`` summed over its entries, for :func:`compare`.

    Raises
    ------
    KeyError, ValueError
        As :meth:`scgx.tl.Translator.fit`; if ``training="single"`` or ``split="tissue"`` lacks a ``tissue_key``, or both
        are asked for: a tissue held out has no model of its own.
    """
    _check_tissues(training, split, tissue_key)
    measured = training_data(data, target_key=target_key, layer=layer, group_key=group_key, tissue_key=tissue_key)
    baselines = [*BASELINES, *(["tissue_mean"] if tissue_key else [])]
    asked = [methods] if isinstance(methods, str | BaseEstimator) else methods
    possible = [name for name in dict.fromkeys([*baselines, *asked]) if _possible(name, measured.pairs)]
    # all of them before the first fit: a wrong name must not cost an hour
    predictors = dict(
        _predictor(name, measured.pairs, seed, "mixed" if name in baselines else training) for name in possible
    )
    if len(predictors) < len(possible):
        raise ValueError(f"`methods` has two regressors of one class, which names them in the result: {possible}.")
    folds, word = _folds(measured, split, group_key, tissue_key, n_folds, seed)
    bar = tqdm(total=len(folds) * len(predictors), desc=f"benchmark {dataset}", delay=2)
    parts = []
    for fold, (train, test) in folds.items():
        for name, predictor in predictors.items():
            bar.set_postfix_str(name, refresh=False)
            scored = pd.DataFrame(_score(name, predictor, measured, train, test, interval, seed))
            parts.append(scored.assign(fold=fold, method=name, role="baseline" if name in baselines else "candidate"))
            bar.update()
    bar.close()
    frame = pd.concat(parts, ignore_index=True).assign(dataset=dataset, split=word)
    return frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]


def _possible(name: str | BaseEstimator, pairs: np.ndarray) -> bool:
    return bool(len(pairs)) or name not in NEEDS_SHARED_GENES


def _check_tissues(training: str, split: str, tissue_key: str | None) -> None:
    for argument, value, known in (("training", training, Training), ("split", split, Split)):
        if value not in get_args(known):
            raise ValueError(f"`{argument}` must be one of {get_args(known)}; found {value!r}.")
        if value != get_args(known)[0] and tissue_key is None:
            raise ValueError(f"`{argument}={value!r}` needs the tissue of each row: give `tissue_key`.")
    if training == "single" and split == "tissue":
        raise ValueError("`split='tissue'` holds out whole tissues, which have no model of their own: use one of both.")


def _folds(
    data: TrainingData, split: str, group_key: str | None, tissue_key: str | None, n_folds: int, seed: int
) -> tuple[dict[int | str, tuple[np.ndarray, np.ndarray]], str]:
    """Training and test rows of each fold, and what to call the split."""
    if split == "tissue" and data.tissue is not None:
        names = np.unique(data.tissue).tolist()
        if len(names) < 2:
            raise ValueError(f"`split='tissue'` needs at least 2 tissues; .obs[{tissue_key!r}] has {names} only.")
        masks = {name: data.tissue == name for name in names}
        return {
            k: (np.flatnonzero(~test), np.flatnonzero(test)) for k, test in masks.items()
        }, f"each {tissue_key} held out"
    folds = group_folds(len(data.X), data.groups, n_folds=n_folds, seed=seed)
    return dict(enumerate(folds)), "random (optimistic)" if group_key is None else f"grouped by {group_key}"


def _predictor(
    name: str | BaseEstimator, pairs: np.ndarray, seed: int, training: Training
) -> tuple[str, BaseTranslator]:
    """Name in the result, unfitted translator."""
    candidates = make_candidates("ridge" if name == "shuffled_pairs" else name, pairs=pairs, seed=seed)
    if isinstance(name, str) and name in _WITH_INTERVAL:
        auto = AutoTranslator(for_training(training, candidates), seed=seed)
        return (name if training == "mixed" else f"{name} per tissue"), auto
    ((called, translator),) = for_training(training, candidates).items()
    return ("shuffled_pairs" if name == "shuffled_pairs" else called), translator


def _score(
    name: str,
    predictor: BaseTranslator,
    data: TrainingData,
    train: np.ndarray,
    test: np.ndarray,
    interval: float,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Fit on ``train``, yield every metric on ``test``."""
    start = time.perf_counter()
    X, Y, truth = data.X[train], data.Y[train], data.Y[test]
    if name == "shuffled_pairs":
        Y = Y[np.random.default_rng(seed).permutation(len(Y))]
    groups = None if data.groups is None else data.groups[train]
    tissue = (None, None) if data.tissue is None else (data.tissue[train], data.tissue[test])
    predictor.fit(X, Y, groups=groups, tissue=tissue[0])
    predicted = predictor.predict(data.X[test], tissue=tissue[1])
    seconds = time.perf_counter() - start
    center = column_mean(Y)
    values = {
        **prediction_scores(truth, predicted, center),
        "mae_strong": mae_strong(truth, predicted),
        "mae_extreme": mae_extreme(truth, predicted),
        "seconds": seconds,
    }
    if isinstance(predictor, AutoTranslator):
        width = conformal_half_width(Y - predictor.out_of_fold_, interval)
        values |= {
            "coverage": interval_coverage(truth, predicted, width),
            "width": interval_width(width, truth.shape),
        }
    yield from ({"group": "", "metric": metric, "value": value} for metric, value in values.items())
    labels = data.rows[test].astype(str) if data.groups is None else data.groups[test]
    errors = {"squared_error": truth - predicted, "reference_squared_error": truth - center}
    for metric, difference in errors.items():
        by_group = pd.Series(np.nansum(difference**2, axis=1, dtype=np.float64)).groupby(labels).sum()
        yield from ({"group": group, "metric": metric, "value": value} for group, value in by_group.items())
