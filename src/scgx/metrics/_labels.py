from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def classification_scores(
    true: ArrayLike, predicted: ArrayLike, probability: np.ndarray | None = None, *, classes: ArrayLike | None = None
) -> dict[str, float]:
    """Scores of predicted labels by scikit-learn, with one convention for classes that are missing.

    Every mean is over the classes that occur in ``true``, each with equal weight. A label that occurs in ``predicted``
    only (``"unknown"``, or a cell type that is not there) is a miss of the row's true class and no class of its
    own; a class never predicted has probability 0.

    Parameters
    ----------
    true
        True labels, n; rows without one (None, NaN) are left out.
    predicted
        Predicted labels, n.
    probability
        n × k, a column for each of ``classes``; or n, the probability of the last of two classes.
    classes
        Names of the columns, k. ``None``: the sorted classes of ``true``.

    Returns
    -------
    ``macro_f1`` and ``balanced_accuracy`` (mean recall); with ``probability`` also ``auroc`` and ``auprc`` (average
    precision): of the last class for a vector, else the mean of one class against the rest. Chance of ``auprc`` is the
    share of the class. NaN without any labelled row; areas are NaN if there is one class only.

    Raises
    ------
    ValueError
        If the lengths differ or the columns do not fit ``classes``.
    """
    from sklearn.metrics import f1_score, recall_score

    true, predicted = _labels(true), _labels(predicted)
    _require_length(len(true), predicted=predicted, probability=probability)
    labelled = ~pd.isna(true)
    codes, present = pd.factorize(true[labelled], sort=True)
    predicted_codes = pd.Index(present).get_indexer(predicted[labelled])  # -1: no class of the truth
    scores = dict.fromkeys(("macro_f1", "balanced_accuracy"), float("nan"))
    if len(present):
        for key, metric in (("macro_f1", f1_score), ("balanced_accuracy", recall_score)):
            labels = np.arange(len(present))
            scores[key] = float(metric(codes, predicted_codes, labels=labels, average="macro", zero_division=0))
    if probability is None:
        return scores
    columns = present if classes is None else _labels(classes)
    return scores | _areas(true[labelled], np.asarray(probability)[labelled], present, columns)


def clustering_scores(true: ArrayLike, predicted: ArrayLike, embedding: np.ndarray | None = None) -> dict[str, float]:
    """Agreement of clusters with labels, and separation of the labels in an embedding, by scikit-learn.

    Parameters
    ----------
    true
        True labels, n; rows without one (None, NaN) are left out.
    predicted
        Clusters, n; their names do not matter.
    embedding
        n × d.

    Returns
    -------
    ``ari`` (adjusted Rand index, chance 0), ``nmi`` (arithmetic mean), ``homogeneity`` and ``completeness``, of which
    the first rewards splitting and the second merging; with ``embedding`` also ``silhouette`` of the *true* labels
    (Euclidean): that of the clusters would judge the clustering by its own geometry. All NaN with fewer than two
    classes in ``true``; the silhouette also where each row is a class of its own.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    from sklearn.metrics import (
        adjusted_rand_score,
        completeness_score,
        homogeneity_score,
        normalized_mutual_info_score,
        silhouette_score,
    )

    true, predicted = _labels(true), _labels(predicted)
    _require_length(len(true), predicted=predicted, embedding=embedding)
    labelled = ~pd.isna(true)
    true, predicted = (pd.factorize(values[labelled])[0] for values in (true, predicted))
    n_classes = len(np.unique(true))
    metrics = {
        "ari": adjusted_rand_score,
        "nmi": normalized_mutual_info_score,
        "homogeneity": homogeneity_score,
        "completeness": completeness_score,
    }
    scores = {key: float(metric(true, predicted)) if n_classes > 1 else float("nan") for key, metric in metrics.items()}
    if embedding is not None:
        defined = 1 < n_classes < len(true)
        scores["silhouette"] = (
            float(silhouette_score(np.asarray(embedding)[labelled], true)) if defined else float("nan")
        )
    return scores


def _areas(true: np.ndarray, probability: np.ndarray, present: np.ndarray, columns: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    if len(present) < 2:
        return {"auroc": float("nan"), "auprc": float("nan")}
    if probability.ndim == 1:
        if len(columns) != 2:
            raise ValueError(f"`probability` is a vector, which needs two classes; found {len(columns)}; give n × k")
        columns, probability = columns[-1:], probability[:, None]
        present = columns
    if probability.shape[1] != len(columns):
        raise ValueError(
            f"`probability` has {probability.shape[1]} columns for {len(columns)} classes; name them with `classes`"
        )
    by_class = {name: probability[:, j] for j, name in enumerate(columns)}
    pairs = [(true == name, by_class.get(name, np.zeros(len(true)))) for name in present]
    return {
        "auroc": float(np.mean([roc_auc_score(is_class, score) for is_class, score in pairs])),
        "auprc": float(np.mean([average_precision_score(is_class, score) for is_class, score in pairs])),
    }


def _labels(values: ArrayLike) -> np.ndarray:
    """Labels as they are, from a list, an array or a categorical; missing ones stay missing."""
    return np.asarray(pd.Series(values).astype(object), dtype=object)


def _require_length(n: int, **arrays: np.ndarray | None) -> None:
    for argument, values in arrays.items():
        if values is not None and len(values) != n:
            raise ValueError(f"`{argument}` has {len(values)} rows for {n} in `true`; give one a row")
