from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from scgx.estimators import BaseTranslator, column_mean, group_folds


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of rows by translators that never saw their group.

    Attributes
    ----------
    predictions
        n × m, float32, one array a candidate.
    reference
        Gene means of the training rows, n_folds × m: the reference of every skill.
    fold
        Fold in which each row was held out, n.
    seconds
        Fit and prediction time of each candidate over all folds.
    """

    predictions: dict[str, np.ndarray]
    reference: np.ndarray
    fold: np.ndarray
    seconds: dict[str, float]


def cross_validate(
    candidates: Mapping[str, BaseTranslator],
    X: np.ndarray,
    Y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    tissue: np.ndarray | None = None,
    n_folds: int = 5,
    seed: int = 0,
    progress: bool = False,
) -> OutOfFold:
    """Predict each row with translators fitted on the other folds; groups stay whole.

    Parameters
    ----------
    candidates
        Unfitted translators by name; each is cloned for every fold.
    X, Y
        Source (n × p) and target (n × m) of the paired rows.
    groups, tissue
        One label a row; see :meth:`scgx.estimators.BaseTranslator.fit`.
    n_folds
        Number of folds (fewer where there are fewer groups).
    seed
        Seed of the folds.
    progress
        Show a progress bar with the time left.

    Raises
    ------
    ValueError
        If there are fewer than two groups.
    """
    folds = group_folds(len(X), groups, n_folds=n_folds, seed=seed)
    fold = np.empty(len(X), dtype=int)
    reference = np.empty((len(folds), Y.shape[1]), dtype=np.float32)
    predictions = {name: np.empty(Y.shape, dtype=np.float32) for name in candidates}
    seconds = dict.fromkeys(candidates, 0.0)
    bar = tqdm(total=len(folds) * len(candidates), desc="cross-validation", disable=not progress, delay=2)
    for k, (train, test) in enumerate(folds):
        fold[test] = k
        reference[k] = column_mean(Y[train])
        for name, candidate in candidates.items():
            bar.set_postfix_str(name, refresh=False)
            start = time.perf_counter()
            fitted = clone(candidate).fit(X[train], Y[train], groups=_take(groups, train), tissue=_take(tissue, train))
            predictions[name][test] = fitted.predict(X[test], tissue=_take(tissue, test))
            seconds[name] += time.perf_counter() - start
            bar.update()
    bar.close()
    return OutOfFold(predictions=predictions, reference=reference, fold=fold, seconds=seconds)


def _take(labels: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if labels is None else np.asarray(labels)[rows]
