from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.base import ClassifierMixin, clone
from tqdm import tqdm

from scgx._core import dense_rows, layer_or_x, require_key, source_of, training_data
from scgx.estimators import GeneScaler, group_folds
from scgx.metrics import classification_scores
from scgx.selection import AutoTranslator, make_candidates

if TYPE_CHECKING:
    from mudata import MuData

    from scgx.selection._candidates import Method

_BASELINES = ("most_frequent", "all_measured")


@dataclass(frozen=True)
class _Study:
    """Labelled rows: source (n × p) and target (n × m, a row of NaN where not measured), label and group (n)."""

    X: np.ndarray
    Y: np.ndarray
    label: np.ndarray
    group: np.ndarray
    pairs: np.ndarray


def biomarker(
    data: AnnData | MuData,
    *,
    label_key: str,
    group_key: str | None = None,
    target_key: str = "target",
    layer: str | None = None,
    method: Method = "auto",
    classifier: ClassifierMixin | None = None,
    measured: float = 0.3,
    n_folds: int = 5,
    dataset: str = "data",
    seed: int = 0,
) -> pd.DataFrame:
    """Find out whether translating legacy rows helps to find a biomarker on the new panel.

    The situation of an archive: many labelled rows on the source platform, few of them measured again on the target
    panel. In each fold a share of the training groups keeps its measured target, the rest are *legacy* rows, known by
    their source alone. A translator is fitted on the former and translates the latter; a classifier of the label
    is trained on the target panel with and without them, and tested on *measured* target rows of the held-out groups,
    which neither translator nor classifier has seen.

    Parameters
    ----------
    data
        AnnData with a registered target, or MuData of :func:`scgx.pp.pair`. Rows without a label are left out; rows
        without a measured target are legacy rows in every fold, unless their group is held out.
    label_key
        ``.obs`` column with the label: a pathology, a tissue, a mechanism.
    group_key
        ``.obs`` column that must not be split between training and testing, such as the compound.
    target_key, layer, method
        See :class:`scgx.tl.Translator`.
    classifier
        Any scikit-learn classifier with ``predict_proba``; ``None`` for logistic regression with balanced classes.
        Features are standardised for it.
    measured
        Share of the training groups whose target counts as measured, in (0, 1]; drawn label by label, at least one group
        of each.
    n_folds
        Outer folds.
    dataset
        Name in the result.
    seed
        Seed of folds, of the groups that stay measured, and of the methods.

    Returns
    -------
    Tidy frame with columns ``dataset``, ``split``, ``fold``, ``group`` (empty: every row scores a fold), ``method``,
    ``role``, ``metric``, ``value``. Methods by what the classifier was trained on: ``measured`` rows only,
    ``measured+translated``, ``translated`` (legacy rows only), ``source`` (all training rows, and tested on the
    source values of the same test rows), and as baselines ``most_frequent`` (always the commonest label) and
    ``all_measured`` (the ceiling: as if every training row had been measured). Metrics: those of
    :func:`scgx.metrics.classification_scores` (``balanced_accuracy``, ``macro_f1``, ``auroc``, ``auprc``, means over the
    labels of the test rows) and ``n_train``, the training rows. Differences are paired by fold:
    ``frame.pivot_table(index=["metric", "fold"], columns="method", values="value")``.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If ``measured`` is out of range, leaves no legacy row or a single label, or as
        :meth:`scgx.tl.Translator.fit`.

    References
    ----------
    Cong et al., BMC Bioinformatics 2026, Tables 9 and 10 (liver necrosis).

    Examples
    --------
    >>> import scgx
    >>> source, target, _ = scgx.datasets.pbmc_panels()
    >>> scgx.pp.add_target(source, target)
    >>> frame = scgx.bm.biomarker(source, label_key="bulk_labels", method="ridge", measured=0.1)
    >>> table = frame.pivot_table(index="method", columns="metric", values="value")
    """
    if not 0 < measured <= 1:
        raise ValueError(f"`measured` must be a share in (0, 1]; found {measured}.")
    study = _study(data, label_key, group_key, target_key, layer)
    # unknown methods and folds of a single label must not cost an hour
    candidates = make_candidates(method, pairs=study.pairs, seed=seed)
    plan = list(_plan(study, measured, n_folds, seed))
    rows: list[dict[str, Any]] = []
    for fold, (few, legacy, test) in enumerate(tqdm(plan, desc=f"biomarker {dataset}", delay=2)):
        translator = AutoTranslator(candidates, seed=seed)
        translator.fit(study.X[few], study.Y[few], groups=study.group[few])
        panels = _panels(study, few, legacy, test, translator.predict(study.X[legacy]))
        for name, (train, held_out, labels) in panels.items():
            scores = _scores(classifier, name, train, labels, held_out, study.label[test], seed)
            rows += [
                {"fold": fold, "method": name, "metric": metric, "value": value} for metric, value in scores.items()
            ]
    split = "random (optimistic)" if group_key is None else f"grouped by {group_key}"
    frame = pd.DataFrame(rows).assign(dataset=dataset, split=split, group="")
    frame["role"] = np.where(frame["method"].isin(_BASELINES), "baseline", "candidate")
    return frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]


def _study(data: AnnData | MuData, label_key: str, group_key: str | None, target_key: str, layer: str | None) -> _Study:
    training = training_data(data, target_key=target_key, layer=layer, group_key=group_key, tissue_key=None)
    source = source_of(data)
    require_key(source.obs.columns, label_key, ".obs", "label_key")
    Y = np.full((source.n_obs, training.Y.shape[1]), np.nan, dtype=np.float32)
    Y[training.rows] = training.Y
    known = np.flatnonzero(source.obs[label_key].notna())
    X = dense_rows(layer_or_x(source, layer), known, source.var_names.get_indexer(training.source_genes))
    group = source.obs_names if group_key is None else source.obs[group_key].astype(str)
    return _Study(
        X=X,
        Y=Y[known],
        label=source.obs[label_key].astype(str).to_numpy(dtype=str)[known],
        group=np.asarray(group, dtype=str)[known],
        pairs=training.pairs,
    )


def _plan(
    study: _Study, measured: float, n_folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Measured training rows, legacy rows and measured test rows of each fold."""
    has_target = np.isfinite(study.Y).any(axis=1)
    rows = np.flatnonzero(has_target)
    for fold, (train, test) in enumerate(group_folds(len(rows), study.group[rows], n_folds=n_folds, seed=seed)):
        kept = _share_of_groups(study, rows[train], measured, np.random.default_rng([seed, fold]))
        few = np.flatnonzero(has_target & np.isin(study.group, kept))
        held_out = np.isin(study.group, study.group[rows[test]])
        legacy = np.setdiff1d(np.flatnonzero(~held_out), few)
        for what, part, least, remedy in (("measured", few, 3, "raise"), ("legacy", legacy, 1, "lower")):
            labels, n_groups = np.unique(study.label[part]).tolist(), len(np.unique(study.group[part]))
            if len(labels) < 2 or n_groups < least:
                raise ValueError(
                    f"`measured={measured}` leaves {n_groups} {what} training groups in fold {fold}, of labels {labels}; "
                    f"at least {least} and two labels are needed. Try to {remedy} `measured`."
                )
        yield few, legacy, rows[test]


def _share_of_groups(study: _Study, rows: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Names of that share of the groups of each label, at least one of them; a group has its commonest label."""
    label = pd.Series(study.label[rows]).groupby(study.group[rows]).agg(lambda labels: labels.mode()[0])
    of_label = label.sample(frac=1, random_state=rng).groupby(label)
    kept = of_label.cumcount() < np.maximum(1, (share * of_label.transform("size")).round())
    return kept.index[kept].to_numpy(dtype=str)


def _panels(
    study: _Study, few: np.ndarray, legacy: np.ndarray, test: np.ndarray, translated: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Training features, test features and training labels of each method."""
    X, Y, label = study.X, study.Y, study.label
    every = np.concatenate([few, legacy])
    full = every[np.isfinite(Y[every]).any(axis=1)]
    return {
        "most_frequent": (Y[few], Y[test], label[few]),
        "measured": (Y[few], Y[test], label[few]),
        "measured+translated": (np.concatenate([Y[few], translated]), Y[test], label[every]),
        "translated": (translated, Y[test], label[legacy]),
        "source": (X[every], X[test], label[every]),
        "all_measured": (Y[full], Y[test], label[full]),
    }


def _scores(
    classifier: ClassifierMixin | None,
    name: str,
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    truth: np.ndarray,
    seed: int,
) -> dict[str, float]:
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    if name == "most_frequent":
        model = DummyClassifier(strategy="most_frequent")
    elif classifier is None:
        model = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=seed)
    else:
        model = clone(classifier)
    scaler = GeneScaler("standard").fit(train)
    model.fit(scaler.transform(train), labels)
    features = scaler.transform(test)
    scores = classification_scores(
        truth, model.predict(features), model.predict_proba(features), classes=model.classes_
    )
    return scores | {"n_train": float(len(train))}
