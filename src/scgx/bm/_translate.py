from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from scgx._core import TrainingData, training_data
from scgx.estimators import BaseTranslator, column_mean, group_folds
from scgx.metrics import interval_coverage, interval_width, mae_extreme, mae_strong
from scgx.selection import NEEDS_SHARED_GENES, AutoTranslator, conformal_half_width, make_candidates, prediction_scores

if TYPE_CHECKING:
    from mudata import MuData

#: trivial predictors that every benchmark runs
BASELINES = ("mean", "median", "copy", "same_gene", "quantile", "shuffled_pairs")
#: methods compared by default
METHODS = ("ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "random_forest", "auto")
_WITH_INTERVAL = ("mean", "auto")


def translate(
    data: AnnData | MuData,
    *,
    methods: Sequence[str] = METHODS,
    target_key: str = "target",
    layer: str | None = None,
    group_key: str | None = None,
    tissue_key: str | None = None,
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
        Names in :data:`scgx.selection.METHODS`, and ``"auto"``. Those that need shared genes are left out where
        the panels share none. Baselines are added: mean, median, mean per tissue, same-gene copy and affine fit,
        quantile normalisation, and ridge trained on shuffled pairs.
    target_key, layer, group_key, tissue_key, interval
        See :class:`scgx.tl.Translator`.
    n_folds
        Outer folds.
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
        As :meth:`scgx.tl.Translator.fit`.
    """
    training = training_data(data, target_key=target_key, layer=layer, group_key=group_key, tissue_key=tissue_key)
    baselines = [*BASELINES, *(["tissue_mean"] if tissue_key else [])]
    asked = [methods] if isinstance(methods, str) else methods
    names = [name for name in dict.fromkeys([*baselines, *asked]) if _possible(name, training.pairs)]
    # all of them before the first fit: a wrong name must not cost an hour
    predictors = {name: _predictor(name, training.pairs, seed) for name in names}
    folds = group_folds(len(training.X), training.groups, n_folds=n_folds, seed=seed)
    bar = tqdm(total=len(folds) * len(names), desc=f"benchmark {dataset}", delay=2)
    parts = []
    for k, (train, test) in enumerate(folds):
        for name in names:
            bar.set_postfix_str(name, refresh=False)
            scored = pd.DataFrame(_score(name, predictors[name], training, train, test, interval, seed))
            parts.append(scored.assign(fold=k, method=name, role="baseline" if name in baselines else "candidate"))
            bar.update()
    bar.close()
    split = "random (optimistic)" if group_key is None else f"grouped by {group_key}"
    frame = pd.concat(parts, ignore_index=True).assign(dataset=dataset, split=split)
    return frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]


def _possible(name: str, pairs: np.ndarray) -> bool:
    return bool(len(pairs)) or name not in NEEDS_SHARED_GENES


def _predictor(name: str, pairs: np.ndarray, seed: int) -> BaseTranslator:
    candidates = make_candidates("ridge" if name == "shuffled_pairs" else name, pairs=pairs, seed=seed)
    return (
        AutoTranslator(candidates, seed=seed)
        if name in _WITH_INTERVAL
        else candidates[name if name in candidates else "ridge"]
    )


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
