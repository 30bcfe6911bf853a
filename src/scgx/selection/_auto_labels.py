from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, clone
from tqdm import tqdm

from scgx.estimators import (
    BaseLabelClassifier,
    CentroidLabels,
    LogisticLabels,
    NeighborLabels,
    SklearnLabels,
    group_folds,
)
from scgx.metrics import classification_scores

LOGISTIC = "logistic_regression"
# simplest first: of equally good ones the first is chosen
LABEL_CLASSIFIERS: dict[str, Callable[[int], BaseLabelClassifier]] = {
    "centroid": lambda seed: CentroidLabels(),
    "knn": lambda seed: NeighborLabels(seed=seed),
    LOGISTIC: lambda seed: LogisticLabels(seed=seed),
}
MAJORITY = "majority"
_GROUPED, _RANDOM, _NONE = "grouped by batch", "random (optimistic)", "none: one row a label"


def make_label_classifiers(
    method: str | Sequence[str] | ClassifierMixin, *, seed: int = 0
) -> dict[str, BaseLabelClassifier]:
    """Unfitted label classifiers by name, simplest first.

    Parameters
    ----------
    method
        ``"auto"`` (all), a name in :data:`LABEL_CLASSIFIERS`, several, or a scikit-learn classifier with
        ``predict_proba``.
    seed
        Handed to each.

    Raises
    ------
    ValueError
        For an unknown or doubled name.
    TypeError
        For something else.
    """
    if isinstance(method, BaseLabelClassifier):
        return {type(method).__name__: method}
    if hasattr(method, "predict_proba"):
        return {type(method).__name__: SklearnLabels(method)}
    names = [method] if isinstance(method, str) else method
    if not isinstance(names, Sequence):
        raise TypeError(f"`method` must be a name, several or a classifier; found {type(method).__name__}.")
    names = list(LABEL_CLASSIFIERS) if list(names) == ["auto"] else list(names)
    unknown = [name for name in names if name not in LABEL_CLASSIFIERS]
    if unknown or len(set(names)) < len(names) or not names:
        raise ValueError(
            f"`method` must be 'auto' or different names of {sorted(LABEL_CLASSIFIERS)}; found {list(names)!r}."
        )
    return {name: LABEL_CLASSIFIERS[name](seed) for name in LABEL_CLASSIFIERS if name in names}


def majority_labels() -> SklearnLabels:
    """The baseline: always the commonest training label."""
    from sklearn.dummy import DummyClassifier

    return SklearnLabels(DummyClassifier(strategy="most_frequent"))


class AutoLabels(BaseLabelClassifier):
    """Score classifiers on held-out rows, keep the one with the best macro-F1, and fit it on all rows.

    ``"logistic_regression"``, where it is a candidate, is kept unless another one is better by more than one standard error
    of the difference (over folds): macro-F1 on a few hundred rows with rare labels is a noisy score, and a choice by
    chance costs more than it gains.

    Folds keep a batch whole where there are several, else they are random within each label. A held-out row whose label
    the training part lacks is not scored: no candidate can know it.

    Parameters
    ----------
    candidates
        Classifiers by name; of equally good ones the first is chosen, of unscored ones too.
    n_folds
        Folds, or fewer where there are fewer batches or rows a label.
    seed
        Seed of the folds.
    progress
        Show a progress bar.

    Attributes
    ----------
    chosen_
        Name of the classifier that predicts.
    scores_
        ``macro_f1``, ``balanced_accuracy`` and ``role`` of each candidate and of ``"majority"``; NaN if no label has two
        rows, when the first candidate is taken unscored.
    split_
        What the folds kept together.
    held_out_
        Largest probability (n) of the chosen classifier in held-out rows that it labelled correctly.
    """

    def __init__(
        self,
        candidates: Mapping[str, BaseLabelClassifier],
        *,
        n_folds: int = 5,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.candidates = candidates
        self.n_folds = n_folds
        self.seed = seed
        self.progress = progress

    def fit(self, X: Any, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Choose and fit. See :meth:`BaseLabelClassifier.fit`."""
        folds, self.split_ = label_folds(y, batch, n_folds=self.n_folds, seed=self.seed)
        folds = [(train, test[np.isin(y[test], y[train])]) for train, test in folds]
        folds = [(train, test) for train, test in folds if len(test) and len(np.unique(y[train])) > 1]
        if not folds:
            self.split_ = _NONE
        truth = np.concatenate([y[test] for _, test in folds]) if folds else y[:0]
        self.scores_: dict[str, dict[str, Any]] = {}
        confident: dict[str, np.ndarray] = {}
        by_fold: dict[str, np.ndarray] = {}
        ends = np.cumsum([len(test) for _, test in folds])[:-1]
        for name, candidate in tqdm(
            {MAJORITY: majority_labels(), **self.candidates}.items(), desc="labels", delay=2, disable=not self.progress
        ):
            predicted, top = _out_of_fold(candidate, X, y, batch, folds)
            confident[name] = top[predicted == truth]
            scores = classification_scores(truth, predicted)
            parts = zip(np.split(truth, ends), np.split(predicted, ends), strict=True)
            by_fold[name] = np.array([classification_scores(*part)["macro_f1"] for part in parts])
            self.scores_[name] = scores | {"role": "baseline" if name == MAJORITY else "candidate"}
        rivals = [name for name in self.candidates if _may_win(by_fold[name], by_fold.get(LOGISTIC))] or [LOGISTIC]
        self.chosen_ = max(rivals, key=lambda name: _rank(self.scores_[name]["macro_f1"]))
        self.held_out_ = confident[self.chosen_]
        self.estimator_ = clone(self.candidates[self.chosen_]).fit(X, y, batch=batch)
        self.classes_ = self.estimator_.classes_
        return self

    def predict_proba(self, X: Any, *, batch: np.ndarray | None = None) -> np.ndarray:
        """See :meth:`BaseLabelClassifier.predict_proba`."""
        return self.estimator_.predict_proba(X, batch=batch)

    def threshold(self, unknown: float) -> float:
        """Smallest probability of a label that counts as known.

        Parameters
        ----------
        unknown
            Share of correctly labelled rows that may be called unknown, in [0, 1).

        Returns
        -------
        The largest probability below which there is at most that share of the correctly labelled held-out rows.

        Raises
        ------
        ValueError
            If ``unknown`` is out of range, or no held-out row was labelled correctly.
        """
        if not 0 <= unknown < 1:
            raise ValueError(f"`unknown` must be a share in [0, 1); found {unknown}.")
        if not len(self.held_out_):
            raise ValueError(
                "`unknown` needs held-out reference rows that were labelled correctly, found none "
                f"(split: {self.split_}); give a reference with several rows a label, or `unknown=None`."
            )
        return float(np.quantile(self.held_out_, unknown, method="lower"))


def label_folds(
    y: np.ndarray, batch: np.ndarray | None, *, n_folds: int, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    """Training and test rows of each fold, and what the folds kept together.

    Parameters
    ----------
    y
        Labels, n.
    batch
        Batch of each row, n; never on both sides if there are at least two.
    n_folds
        Folds, at most.
    seed
        Seed of the folds.

    Returns
    -------
    No fold if there is no batch to leave out and every label has one row.
    """
    if batch is not None and len(np.unique(batch)) > 1:
        return group_folds(len(y), batch, n_folds=n_folds, seed=seed), _GROUPED
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    _, count = np.unique(y, return_counts=True)
    if count.max() < 2:
        return [], _NONE
    fold = np.empty(len(y), dtype=int)
    fold[order] = np.arange(len(y)) % n_folds  # the rows of a label go round the folds
    return [
        (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds) if (fold == k).any()
    ], _RANDOM


def _out_of_fold(
    candidate: BaseLabelClassifier,
    X: Any,
    y: np.ndarray,
    batch: np.ndarray | None,
    folds: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and their probabilities, rows in the order of the folds."""
    labels, tops = [y[:0]], [np.empty(0)]
    for train, test in folds:
        of_train, of_test = (None if batch is None else batch[rows] for rows in (train, test))
        fitted = clone(candidate).fit(X[train], y[train], batch=of_train)
        probability = fitted.predict_proba(X[test], batch=of_test)
        labels.append(fitted.classes_[probability.argmax(axis=1)])
        tops.append(probability.max(axis=1))
    return np.concatenate(labels), np.concatenate(tops)


def _may_win(score: np.ndarray, logistic: np.ndarray | None) -> bool:
    """Whether scores by fold are better than those of logistic regression beyond one standard error."""
    if logistic is None or not np.isfinite(logistic).all():
        return True
    difference = score - logistic
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return bool(difference.mean() > error + 1e-9)


def _rank(score: float) -> float:
    # what was not scored ties, so the simplest is taken; the last digits of a mean are no difference
    return round(score, 9) if np.isfinite(score) else -1.0
