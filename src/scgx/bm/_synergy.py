from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm import tqdm

from scgx._core.drug_pairs import DrugPairs, read_lines, read_pairs, read_target
from scgx.estimators import BaseSynergy
from scgx.selection import (
    SYNERGIES,
    SYNERGY_BASELINES,
    SYNERGY_SPLITS,
    AutoSynergy,
    require_no_leak,
    synergy_folds,
    synergy_names,
    synergy_scores,
    synergy_units,
)

_AUTO = "auto"


def synergy(
    pairs: pd.DataFrame,
    *,
    expression: AnnData | pd.DataFrame,
    methods: str | Sequence[str] | None = None,
    split: str = "pair",
    layer: str | None = None,
    n_folds: int = 5,
    n_inner: int = 3,
    dataset: str = "data",
    seed: int = 0,
) -> pd.DataFrame:
    """Benchmark the prediction of drug synergy, the baselines beside it.

    Parameters
    ----------
    pairs
        Measured pairs, see ``train_pairs`` of :func:`scgx.tl.predict_synergy`. Of repeats of a pair in a line the first is
        kept.
    expression, layer
        See :func:`scgx.tl.predict_synergy`.
    methods
        Names of methods, see :func:`scgx.tl.predict_synergy`; ``"auto"`` among them stands for what is chosen among its
        own methods by a cross-validation inside each training part. ``None``: ``"auto"`` and each of its methods. The
        baselines ``"line_mean"``, ``"pair_mean"``, ``"one_hot"`` and ``"random_vectors"`` are always run.
    split
        What is new in the test pairs: ``"pair"``, ``"line"``, ``"drug"`` (one or both), ``"one_drug"``, ``"both_drugs"``,
        one of these with ``" + line"``, or ``"random"``, which tests memory and is marked optimistic.
    n_folds, n_inner
        Folds, and folds of the choice inside each.
    dataset
        Name in the result.
    seed
        Seed of folds and methods.

    Returns
    -------
    Tidy frame with columns ``dataset``, ``split``, ``fold``, ``group``, ``method``, ``role``, ``metric``, ``value``. Rows
    with an empty ``group`` score a fold: ``auroc`` and ``auprc`` (of scores ``spearman`` and ``pearson``; NaN where all
    test pairs are the same), and ``prevalence`` of label 1, the ``auprc`` of chance. Rows with a group (the pair; the line
    when lines are held out) hold ``squared_error`` and ``reference_squared_error`` (of the training mean), for
    :func:`compare` and :func:`summary`.

    Raises
    ------
    KeyError, ValueError
        As :func:`scgx.tl.predict_synergy`; if ``split`` is unknown or leaves nothing to test.

    Examples
    --------
    >>> import scgx
    >>> frame = scgx.bm.synergy(measured, expression=lines, methods="pair_kernel")  # doctest: +SKIP
    >>> scgx.bm.compare(frame, "pair_kernel", "one_hot")  # doctest: +SKIP
    """
    wanted = (
        [_AUTO, *synergy_names(_AUTO)] if methods is None else [methods] if isinstance(methods, str) else list(methods)
    )
    names = synergy_names([*dict.fromkeys((*SYNERGY_BASELINES, *(name for name in wanted if name != _AUTO)))])
    measured = read_pairs(pairs, read_lines(expression, layer=layer), argument="pairs")
    y, _ = read_target(pairs, argument="pairs")
    _, first = np.unique(synergy_units(measured, "random"), return_index=True)
    rows = np.sort(first)
    measured, y = measured.take(rows), y[rows]
    folds = synergy_folds(measured, split, n_folds=n_folds, seed=seed)
    folds = [(train, test) for train, test in folds if np.ptp(y[train]) > 0]
    if not folds:
        raise ValueError(
            f"split={split!r} leaves nothing to test: `pairs` has {len(measured.smiles)} drugs in {len(measured.lines)} "
            "lines; use another split or more folds."
        )
    rivals: dict[str, BaseSynergy] = {name: SYNERGIES[name](seed) for name in names}
    if _AUTO in wanted:
        question = "one_drug" if split == "drug" else split
        rivals[_AUTO] = AutoSynergy(synergy_names(_AUTO), question, n_folds=n_inner, seed=seed)
    found: list[dict[str, Any]] = []
    steps = [(k, name) for k in range(len(folds)) for name in rivals]
    for k, name in tqdm(steps, desc=f"synergy {dataset}, {split}", delay=2):
        train, test = folds[k]
        known, asked = measured.take(train), measured.take(test)
        _require_apart(known, asked, split)
        predicted = rivals[name].fit(known, y[train]).predict(asked)
        groups = asked.cell_line if split == "line" else asked.pair
        found += [
            {"fold": k, "method": name, **row} for row in _scores(y[test], predicted, groups, float(y[train].mean()), y)
        ]
    frame = pd.DataFrame(found).assign(dataset=dataset, split=_title(split))
    frame["role"] = np.where(frame["method"].isin(SYNERGY_BASELINES), "baseline", "candidate")
    return frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]


def _scores(
    true: np.ndarray, predicted: np.ndarray, groups: np.ndarray, mean: float, all_values: np.ndarray
) -> Iterator[dict[str, Any]]:
    binary = bool(np.isin(all_values, (0, 1)).all())
    values = synergy_scores(true, predicted, binary=binary)
    if binary:
        values["prevalence"] = float(true.mean())
    for metric, value in values.items():
        yield {"group": "", "metric": metric, "value": value}
    names, group = np.unique(groups, return_inverse=True)
    errors = {"squared_error": (true - predicted) ** 2, "reference_squared_error": (true - mean) ** 2}
    for metric, error in errors.items():
        for name, value in zip(names, np.bincount(group, error), strict=True):
            yield {"group": str(name), "metric": metric, "value": float(value)}


def _require_apart(known: DrugPairs, asked: DrugPairs, split: str) -> None:
    """What a split holds out must not be in training."""
    drugs, _, line = split.partition(" + ")
    if "line" in (drugs, line):
        require_no_leak(known.lines, asked.lines)
    if drugs in ("pair", "random"):
        require_no_leak(synergy_units(known, drugs), synergy_units(asked, drugs))
    if drugs == "both_drugs":
        require_no_leak(known.smiles, asked.smiles)
    if drugs in ("drug", "one_drug"):
        new = ~np.isin(asked.smiles, known.smiles)
        seen = ~(new[asked.a] | new[asked.b])
        require_no_leak(known.pair, asked.pair[seen])
        if seen.any():
            raise ValueError(f"the split leaks: {int(seen.sum())} test pairs have no new drug")


def _title(split: str) -> str:
    drugs, _, line = split.partition(" + ")
    return f"{SYNERGY_SPLITS[drugs]}, lines too" if line else SYNERGY_SPLITS[drugs]
