from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.base import clone
from tqdm import tqdm

from scgx._core import examples
from scgx._core.label_data import expression, labelled_rows, shared_genes
from scgx.datasets._orthologs import read_orthologs
from scgx.estimators import BaseLabelClassifier
from scgx.metrics import classification_scores
from scgx.selection import MAJORITY, AutoLabels, label_folds, majority_labels, make_label_classifiers

_AUTO = "auto"


@dataclass(frozen=True)
class _Side:
    """Rows × genes, labels and batches."""

    X: Any
    label: np.ndarray
    batch: np.ndarray | None

    def take(self, rows: np.ndarray) -> _Side:
        return _Side(self.X[rows], self.label[rows], None if self.batch is None else self.batch[rows])


def labels(
    query: AnnData,
    reference: AnnData | None = None,
    *,
    label_key: str,
    methods: str | Sequence[str] = "auto",
    orthologs: pd.DataFrame | str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    n_folds: int = 5,
    dataset: str = "data",
    seed: int = 0,
) -> pd.DataFrame:
    """Benchmark label transfer, the majority class beside it.

    Parameters
    ----------
    query
        Rows with known labels, which are used for scoring only. Those without a label are left out.
    reference
        Labelled rows to learn from, of the same or another species. ``None``: cross-validation over the rows of
        ``query``, whole batches held out if there are several.
    label_key
        ``.obs`` column with the labels.
    methods
        As ``method`` of :func:`scgx.tl.transfer_labels`; each is scored, and so is ``"auto"``, which chooses among them
        on held-out training rows alone. Not ``"structure"``: it has no training.
    orthologs, batch_key, layer
        See :func:`scgx.tl.transfer_labels`.
    n_folds
        Folds of the cross-validation, and of the choice inside it.
    dataset
        Name in the result.
    seed
        Seed of folds and solvers.

    Returns
    -------
    Tidy frame with columns ``dataset``, ``split``, ``fold``, ``group``, ``method``, ``role`` (``"baseline"`` for
    ``"majority"``), ``metric``, ``value``. Rows with an empty ``group`` score a fold: ``accuracy``, ``macro_f1`` and
    ``balanced_accuracy``; a label that the training rows lack counts as missed. Rows with a group hold the ``recall`` of
    that label.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If there is one label only, too few genes are shared, or no row can be held out.

    Examples
    --------
    >>> import scanpy as sc, scgx
    >>> frame = scgx.bm.labels(sc.datasets.pbmc68k_reduced(), label_key="bulk_labels", methods=["centroid", "knn"])
    >>> table = frame[frame["group"] == ""].pivot_table(index="method", columns="metric", values="value")
    """
    candidates = make_label_classifiers(methods, seed=seed)
    rivals = {MAJORITY: majority_labels(), **candidates, _AUTO: AutoLabels(candidates, n_folds=n_folds, seed=seed)}
    if reference is None:
        folds, split = _cross_validation(query, label_key, batch_key, layer, n_folds, seed)
    else:
        folds, split = [_between(query, reference, label_key, orthologs, batch_key, layer)], "query"
    rows: list[dict[str, Any]] = []
    for fold, (train, test) in enumerate(tqdm(folds, desc=f"labels {dataset}", delay=2)):
        for name, rival in rivals.items():
            rows += [{"fold": fold, "method": name, **row} for row in _scores(rival, train, test)]
    frame = pd.DataFrame(rows).assign(dataset=dataset, split=split)
    frame["role"] = np.where(frame["method"] == MAJORITY, "baseline", "candidate")
    return frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]


def _scores(rival: BaseLabelClassifier, train: _Side, test: _Side) -> Iterator[dict[str, Any]]:
    fitted = clone(rival).fit(train.X, train.label, batch=train.batch)
    predicted = fitted.predict(test.X, batch=test.batch)
    right = predicted == test.label
    for metric, value in {"accuracy": right.mean(), **classification_scores(test.label, predicted)}.items():
        yield {"group": "", "metric": metric, "value": float(value)}
    for label in np.unique(test.label):
        yield {"group": str(label), "metric": "recall", "value": float(right[test.label == label].mean())}


def _cross_validation(
    query: AnnData, label_key: str, batch_key: str | None, layer: str | None, n_folds: int, seed: int
) -> tuple[list[tuple[_Side, _Side]], str]:
    known = labelled_rows(query, label_key, batch_key)
    rows, split = label_folds(known.label, known.batch, n_folds=n_folds, seed=seed)
    if not rows:
        raise ValueError(
            f"each label of query.obs[{label_key!r}] has one row, so none can be held out; give `reference`"
        )
    side = _Side(expression(query, layer, known.rows, "query"), known.label, known.batch)
    return [(side.take(train), side.take(test)) for train, test in rows], split


def _between(
    query: AnnData,
    reference: AnnData,
    label_key: str,
    orthologs: pd.DataFrame | str | None,
    batch_key: str | None,
    layer: str | None,
) -> tuple[_Side, _Side]:
    known, truth = (labelled_rows(adata, label_key, batch_key) for adata in (reference, query))
    genes = shared_genes(query, reference, known.rows, orthologs=read_orthologs(orthologs), layer=layer)
    if genes is None:
        raise ValueError(
            f"less than a tenth of the smaller panel is found by name: the query has {examples(query.var_names, 3)}, the "
            f"reference {examples(reference.var_names, 3)}. Pass `orthologs`, or bring both to the same identifiers."
        )
    return (
        _Side(genes.reference, known.label, known.batch),
        _Side(genes.query[truth.rows], truth.label, truth.batch),
    )
