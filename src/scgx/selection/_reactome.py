"""Choosing how to predict drug × organ conditions never measured: grouped by cell, and by drug."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from scgx.estimators import (
    AdditiveReactome,
    BaseReactome,
    LowRankReactome,
    NearestDrugs,
    ReactomeConditions,
    ReactomeGaussianProcess,
    ReactomeMean,
    column_mean,
    group_folds,
)
from scgx.selection._cross_validate import OutOfFold

HeldOut = Literal["cells", "drugs"]

#: name → method, given a seed
REACTOMES: dict[str, Callable[[int], BaseReactome]] = {
    "design_mean": lambda seed: ReactomeMean("design"),
    "organ_mean": lambda seed: ReactomeMean("organ"),
    "drug_mean": lambda seed: ReactomeMean("drug"),
    "additive": lambda seed: AdditiveReactome(),
    "nearest_drugs": lambda seed: NearestDrugs(),
    "gaussian_process": lambda seed: ReactomeGaussianProcess(seed=seed),
    "low_rank": lambda seed: LowRankReactome(),
}
#: methods that know nothing of how drugs resemble each other
REACTOME_BASELINES = ("design_mean", "organ_mean", "drug_mean", "additive")


@dataclass(frozen=True)
class ReactomeOutOfFold:
    """Predictions of held-out conditions.

    Attributes
    ----------
    rows
        Conditions that were held out, in the order of all that follows.
    folds
        ``predictions`` (rows × genes, one array a method), training means and fold of each row, seconds.
    """

    rows: np.ndarray
    folds: OutOfFold


def held_out_rows(conditions: ReactomeConditions, held_out: HeldOut) -> np.ndarray:
    """Conditions that a validation can hold out.

    ``"cells"``: those of drugs measured in several organs. ``"drugs"``: those of drugs of known structure, or all where
    no structure is known.
    """
    if held_out == "drugs":
        known = conditions.known_structure
        return np.flatnonzero(known if known.any() else np.ones(len(conditions), dtype=bool))
    pairs = np.unique(np.column_stack([conditions.drug, conditions.organ]), axis=0)
    drugs, n_organs = np.unique(pairs[:, 0], return_counts=True)
    return np.flatnonzero(np.isin(conditions.drug, drugs[n_organs > 1]))


def held_out_groups(conditions: ReactomeConditions, held_out: HeldOut) -> int:
    """Number of cells, or drugs, that a validation can hold out."""
    rows = held_out_rows(conditions, held_out)
    return len(np.unique(_groups(conditions, held_out)[rows]))


def _groups(conditions: ReactomeConditions, held_out: HeldOut) -> np.ndarray:
    if held_out == "drugs":
        return conditions.drug
    pairs = np.column_stack([conditions.drug, conditions.organ])
    return np.unique(pairs, axis=0, return_inverse=True)[1].ravel()


def reactome_folds(
    conditions: ReactomeConditions, held_out: HeldOut, *, n_folds: int = 5, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and test conditions; a cell (``"cells"``) or a drug (``"drugs"``) with all its conditions is held out.

    Of held-out cells only those are tested whose drug is still measured in another organ.

    Raises
    ------
    ValueError
        If fewer than two cells or drugs can be held out.
    """
    rows = held_out_rows(conditions, held_out)
    group = _groups(conditions, held_out)
    folds = []
    for _, test in group_folds(len(rows), group[rows], n_folds=n_folds, seed=seed):
        out = np.isin(group, group[rows[test]])
        seen = held_out == "drugs" or np.isin(conditions.drug, conditions.drug[~out])
        if (out & seen).any():
            folds.append((np.flatnonzero(~out), np.flatnonzero(out & seen)))
    if not folds:
        raise ValueError(
            "no held-out cell has its drug measured elsewhere in training; measure more drugs in several organs"
        )
    return folds


def cross_validate_reactome(
    candidates: Mapping[str, BaseReactome],
    conditions: ReactomeConditions,
    values: np.ndarray,
    held_out: HeldOut,
    *,
    n_folds: int = 5,
    seed: int = 0,
    progress: bool = False,
) -> ReactomeOutOfFold:
    """Predict conditions with methods that never saw their cell, or their drug.

    Parameters
    ----------
    candidates
        Unfitted methods by name; each is cloned for every fold.
    conditions, values
        Measured conditions (n) and responses, n × genes.
    held_out
        What is held out together; see :func:`reactome_folds`, for errors too.
    n_folds, seed
        Folds and their seed.
    progress
        Show a progress bar.
    """
    folds = reactome_folds(conditions, held_out, n_folds=n_folds, seed=seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in candidates}
    seconds = dict.fromkeys(candidates, 0.0)
    bar = tqdm(total=len(folds) * len(candidates), desc=f"held-out {held_out}", disable=not progress, delay=2)
    for train, test in folds:
        known, asked = conditions.take(train), conditions.take(test)
        for name, candidate in candidates.items():
            start = time.perf_counter()
            parts[name].append(clone(candidate).fit(known, values[train]).predict(asked))
            seconds[name] += time.perf_counter() - start
            bar.update()
    bar.close()
    return ReactomeOutOfFold(
        rows=np.concatenate([test for _, test in folds]),
        folds=OutOfFold(
            predictions={name: np.concatenate(part) for name, part in parts.items()},
            reference=np.stack([column_mean(values[train]) for train, _ in folds]),
            fold=np.repeat(np.arange(len(folds)), [len(test) for _, test in folds]),
            seconds=seconds,
        ),
    )


def make_reactomes(names: Sequence[str], *, seed: int) -> dict[str, BaseReactome]:
    """Unfitted methods by name; ValueError for an unknown or doubled one."""
    unknown = [name for name in names if name not in REACTOMES]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(f"`method` must be 'auto' or different names of {sorted(REACTOMES)}; found {list(names)!r}.")
    return {name: REACTOMES[name](seed) for name in names}
