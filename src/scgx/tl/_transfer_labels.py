from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.base import ClassifierMixin

from scgx._core import TransferLabelsKeys, dense_rows, examples, layer_or_x, match_genes, output_object, require_finite
from scgx._core.label_data import Labelled, SharedGenes, batches, labelled_rows, shared_genes
from scgx.datasets._orthologs import read_orthologs
from scgx.estimators import match_structure
from scgx.selection import AutoLabels
from scgx.tl._label_encoder import is_encoder, label_candidates, row_blocks
from scgx.tl._report import score_columns

UNKNOWN = "unknown"
STRUCTURE = "structure"


@dataclass(frozen=True)
class _Transfer:
    """Labels and probabilities (query rows × classes), and what is recorded."""

    label: np.ndarray
    probability: np.ndarray
    record: dict[str, Any]


def transfer_labels(
    query: AnnData,
    reference: AnnData | None = None,
    *,
    label_key: str,
    method: str | Sequence[str] | ClassifierMixin = "auto",
    orthologs: pd.DataFrame | str | None = None,
    batch_key: str | None = None,
    layer: str | None = None,
    unknown: float | None = None,
    model: Any = None,
    key_added: str | None = None,
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Name the rows of a query by a labelled reference, of the same or of another species.

    Parameters
    ----------
    query
        Rows to label: cells, samples, organs. Log-normalised expression in the unit of the reference.
    reference
        Labelled rows; those without a label are left out. Not needed with ``model``.
    label_key
        ``reference.obs`` column with the labels.
    method
        ``"centroid"`` (best correlated class mean), ``"knn"`` (on principal components), ``"logistic_regression"``,
        several of these, a scikit-learn classifier with ``predict_proba``, or ``"auto"``: all three are scored by macro-F1 on
        held-out reference rows, and logistic regression predicts unless another one is better beyond one standard error.
        With an encoder as ``model`` also ``"embedding"`` (logistic regression on its frozen embedding) and ``"fine_tuned"`` (the
        encoder fine-tuned, a copy for each fold: minutes on a CPU), both part of ``"auto"``. ``"structure"``
        uses no gene names at all: each query row is a *profile* (the mean of an organ, cell type or cluster; at most
        50), reference rows are averaged by label, and the two sets are matched one to one
        (:func:`scgx.estimators.match_structure`). ``"auto"`` falls back on it, and says so in ``.uns``, if there is
        no orthologue table, less than a tenth of the smaller panel is found by name and there are no more query
        rows than labels.
    orthologs
        One row a group of orthologues with a column (or several) of identifiers a species; ``"symbol"`` for equal
        symbols, case ignored; the name of a table of ``scgx.datasets.load("orthologs")``; ``None``: the same
        names. A reference gene with several orthologues is compared with their mean.
    batch_key
        ``.obs`` column of both with study, batch or donor. Held-out reference rows are whole batches, and
        ``"centroid"`` centres each batch on its own mean.
    layer
        Layer of both; ``None`` for ``.X``.
    unknown
        Share of correctly labelled rows that may be called ``"unknown"``, for example 0.05: the smallest probability
        that counts as known is calibrated on held-out reference rows. ``None``: every row gets a label.
    model
        A fitted classifier with ``predict_proba``, ``classes_`` and ``feature_names_in_`` (scikit-learn keeps them
        if it was fitted on a DataFrame), or a fine-tuned :class:`scgx.model.XTrimoGene`: without ``reference`` it only
        predicts. With ``reference``: a trained XTrimoGene, for the methods that need one; it reads values where its own set-up
        says, and stays as it is.
    key_added
        Name of the result; ``None`` derives it from ``label_key``. See Returns.
    seed
        Seed of folds and solvers.
    copy
        Return a changed copy and leave ``query`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets, for ``label_key="cell_type"``,

    ``.obs["cell_type_transferred"]``
        Categorical label, or ``"unknown"``.
    ``.obsm["cell_type_probability"]``
        n_obs × classes, float32, rows sum to 1. Calibrated for ``"logistic_regression"`` at best; always an order of
        confidence.
    ``.uns["transfer_labels"]``
        ``method`` (chosen), ``classes`` (the columns), ``scores`` (one array a column, one row a candidate and the
        majority class: ``method``, ``macro_f1`` and ``balanced_accuracy`` in held-out reference rows, ``role``), ``split``
        (what was kept together), ``genes`` (how they were matched, ``n_shared``), ``threshold`` (0 without ``unknown``),
        ``unknown``, ``label_key``, ``batch_key`` and ``note``.

    With ``key_added="x"``: ``.obs["x"]``, ``.obsm["x_probability"]``, ``.uns["x"]``.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If the reference has one label only, no genes are shared and ``method`` needs them, a label is
        called ``"unknown"`` though ``unknown`` is asked for, or ``unknown`` cannot be calibrated.

    Notes
    -----
    For ``"structure"`` labels in ``query.obs[label_key]`` (NaN elsewhere) are anchors: rows that are known already. Each
    other row gets a label that no anchor has. There are no held-out scores, and no ``unknown``.

    Examples
    --------
    >>> import numpy as np, scanpy as sc, scgx
    >>> cells = sc.datasets.pbmc68k_reduced()
    >>> query, reference = cells[::2].copy(), cells[1::2].copy()
    >>> scgx.tl.transfer_labels(query, reference, label_key="bulk_labels", unknown=0.05)
    >>> labels = query.obs["bulk_labels_transferred"]
    """
    encoder = model if reference is not None and is_encoder(model) else None
    if model is not None and encoder is None:
        if reference is not None or method != "auto" or unknown is not None:
            raise ValueError(
                "`model` only predicts: leave out `reference`, `method` and `unknown`, or leave out `model`. (With a reference "
                "it can be a scgx.model.XTrimoGene.)"
            )
        return _write(query, _by_model(query, model, layer), label_key, batch_key, key_added, copy=copy)
    if reference is None:
        raise ValueError("`reference` is None; give labelled rows, or a fitted `model`.")
    if encoder is not None and orthologs is not None:
        raise ValueError(
            "an encoder knows genes by name, so `model` does not go with `orthologs`; leave out one of them."
        )
    structure = isinstance(method, str) and method == STRUCTURE
    candidates = {} if structure else label_candidates(method, encoder, seed=seed)
    known = labelled_rows(reference, label_key, batch_key)
    if unknown is not None and UNKNOWN in known.label:
        raise ValueError(f"reference.obs[{label_key!r}] has the label {UNKNOWN!r}; rename it, or use `unknown=None`.")
    query_batch = batches(query, batch_key, "query")
    table = read_orthologs(orthologs)
    genes = None if structure else shared_genes(query, reference, known.rows, orthologs=table, layer=layer)
    if genes is not None:
        if encoder is not None:
            of_query = row_blocks(query, np.arange(query.n_obs), genes.query, encoder)
            genes = SharedGenes(of_query, row_blocks(reference, known.rows, genes.reference, encoder), genes.report)
        transfer = _by_genes(genes, known, query_batch, AutoLabels(candidates, seed=seed, progress=True), unknown)
    elif structure or (_is_auto(method) and unknown is None and query.n_obs <= len(np.unique(known.label))):
        transfer = _by_structure(query, reference, known, label_key, layer, unknown, seed, fallback=not structure)
    else:
        raise ValueError(
            f"`method={method!r}` compares genes, but less than a tenth of the smaller panel is found by name: the query "
            f"has {examples(query.var_names, 3)}, the reference {examples(reference.var_names, 3)}. Pass `orthologs`, bring "
            "both to the same identifiers, or average the rows of each organ or cluster and use `method='structure'`."
        )
    return _write(query, transfer, label_key, batch_key, key_added, copy=copy)


def _is_auto(method: Any) -> bool:
    return isinstance(method, str) and method == "auto"


def _by_genes(
    genes: SharedGenes, known: Labelled, query_batch: np.ndarray | None, classifier: AutoLabels, unknown: float | None
) -> _Transfer:
    classifier.fit(genes.reference, known.label, batch=known.batch)
    threshold = 0.0 if unknown is None else classifier.threshold(unknown)
    probability = classifier.predict_proba(genes.query, batch=query_batch)
    label = classifier.classes_[probability.argmax(axis=1)].astype(object)
    label[probability.max(axis=1) < threshold] = UNKNOWN
    record = {
        "method": classifier.chosen_,
        "classes": classifier.classes_,
        "scores": score_columns([{"method": name, **row} for name, row in classifier.scores_.items()]),
        "split": classifier.split_,
        "genes": genes.report,
        "threshold": threshold,
        "unknown": "never" if unknown is None else float(unknown),
        "note": "",
    }
    return _Transfer(label, probability, record)


def _by_structure(
    query: AnnData,
    reference: AnnData,
    known: Labelled,
    label_key: str,
    layer: str | None,
    unknown: float | None,
    seed: int,
    *,
    fallback: bool,
) -> _Transfer:
    if unknown is not None:
        raise ValueError("`unknown` cannot be calibrated for 'structure', which holds no rows out; use `unknown=None`.")
    classes, code = np.unique(known.label, return_inverse=True)
    X = dense_rows(layer_or_x(query, layer))
    R = dense_rows(layer_or_x(reference, layer), known.rows)
    require_finite(X, "query")
    require_finite(R, "reference")
    profile = np.stack([R[code == k].mean(axis=0) for k in range(len(classes))])
    anchors = _anchors(query, label_key, classes)
    match = match_structure(X, profile, anchors=anchors, seed=seed)
    n_anchors = int((anchors >= 0).sum())
    note = f"no gene names used; {n_anchors} anchors; not calibrated"
    record = {
        "method": STRUCTURE,
        "classes": classes,
        "scores": {},
        "split": "none",
        "genes": {"matched": "not", "n_shared": 0, "n_query": query.n_vars, "n_reference": reference.n_vars},
        "threshold": 0.0,
        "unknown": "never",
        "note": f"gene names do not match: {note}" if fallback else note,
    }
    return _Transfer(classes[match.assignment].astype(object), match.probability, record)


def _anchors(query: AnnData, label_key: str, classes: np.ndarray) -> np.ndarray:
    """Position among the classes of each query row that has a label, −1 elsewhere."""
    if label_key not in query.obs:
        return np.full(query.n_obs, -1)
    column = query.obs[label_key]
    position = pd.Index(classes).get_indexer(column.astype(str))
    strange = column[(position < 0) & column.notna().to_numpy()]
    if len(strange):
        raise ValueError(
            f"query.obs[{label_key!r}] has labels that the reference lacks: {examples(strange.unique())}; set them to NaN"
        )
    return np.where(column.notna(), position, -1)


def _by_model(query: AnnData, model: Any, layer: str | None) -> _Transfer:
    if is_encoder(model):
        found = model.predict_probabilities(query, layer=layer)
        n_shared = int(np.isin(model.genes, query.var_names).sum())
        return _predicted(query, model, found.to_numpy(), found.columns, n_shared, len(model.genes))
    for attribute in ("predict_proba", "classes_", "feature_names_in_"):
        if not hasattr(model, attribute):
            raise TypeError(
                f"`model` is a {type(model).__name__} without `{attribute}`; give a classifier with probabilities that was "
                "fitted on a DataFrame with gene names."
            )
    names = pd.Index(model.feature_names_in_)
    match = match_genes(query.var_names, names, min_overlap=1.0, what="query.var_names")
    X = dense_rows(layer_or_x(query, layer), None, match.position)
    require_finite(X, "query")
    probability = np.asarray(model.predict_proba(pd.DataFrame(X, columns=names)))
    return _predicted(query, model, probability, model.classes_, len(names), len(names))


def _predicted(
    query: AnnData, model: Any, probability: np.ndarray, classes: Any, n_shared: int, n_genes: int
) -> _Transfer:
    classes = np.asarray(classes).astype(str)
    record = {
        "method": type(model).__name__,
        "classes": classes,
        "scores": {},
        "split": "none",
        "genes": {"matched": "names", "n_shared": n_shared, "n_query": query.n_vars, "n_reference": n_genes},
        "threshold": 0.0,
        "unknown": "never",
        "note": "fitted beforehand",
    }
    return _Transfer(classes[probability.argmax(axis=1)].astype(object), probability, record)


def _write(
    query: AnnData, transfer: _Transfer, label_key: str, batch_key: str | None, key_added: str | None, *, copy: bool
) -> AnnData | None:
    keys = TransferLabelsKeys.from_label(label_key, key_added)
    out = output_object(query, copy=copy)
    out.obs[keys.obs] = pd.Categorical(transfer.label)
    out.obsm[keys.obsm] = transfer.probability.astype(np.float32)
    out.uns[keys.uns] = transfer.record | {"label_key": label_key, "batch_key": batch_key or ""}
    return out if copy else None
