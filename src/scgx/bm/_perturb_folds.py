from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from scgx._core.molecules import murcko_scaffolds
from scgx._core.perturbation_cells import PerturbationColumns
from scgx.bm._perturb_study import Study
from scgx.estimators import group_folds
from scgx.selection import n_singles_seen, question_folds, require_no_leak

if TYPE_CHECKING:
    from sklearn.model_selection import BaseCrossValidator

_NEEDS = {"context": "context", "dose": "dose", "scaffold": "smiles", "group": "group"}
_SPLITS = ("perturbation", "combination", "random", *_NEEDS)


@dataclass(frozen=True)
class Fold:
    """Rows of conditions to train on and to test, the name of the split, and a label of each tested condition."""

    train: np.ndarray
    test: np.ndarray
    split: str
    group: np.ndarray


def perturbation_folds(
    study: Study, columns: PerturbationColumns, split: str | BaseCrossValidator, *, n_folds: int, seed: int
) -> list[Fold]:
    """Folds over conditions, checked for leaks; see :func:`scgx.bm.perturb`."""
    from sklearn.model_selection import KFold, LeaveOneGroupOut

    from scgx.selection import LeaveCombinationOut, LeavePerturbationsOut

    if isinstance(split, str) and split not in _SPLITS:
        raise ValueError(f"`split` must be one of {sorted(_SPLITS)} or a scikit-learn splitter; found {split!r}.")
    if split in _NEEDS and getattr(columns, _NEEDS[split]) is None:
        raise ValueError(f"`split={split!r}` needs `{_NEEDS[split]}_key`; found None.")
    label = study.table["label"].to_numpy(dtype=str)
    rows, names = np.zeros((len(label), 1)), study.conditions.perturbations
    group, title = label, f"grouped by {columns.perturbation}"
    held_out = None  # where it is less than a group
    pairs: Iterable[tuple[np.ndarray, np.ndarray]]
    if split == "perturbation":
        pairs = LeavePerturbationsOut(n_folds, seed).split(rows, groups=names)
    elif split == "combination":
        pairs = LeaveCombinationOut().split(rows, groups=names)
    elif split == "context":
        group, title = study.conditions.context, f"leave one {columns.context} out"
        pairs = LeaveOneGroupOut().split(rows, groups=group)
    elif split == "dose":
        pairs, title, held_out = question_folds(study.conditions, "dose", n_folds=n_folds, seed=seed)
    elif split == "random":
        title = "random (optimistic)"
        pairs = KFold(min(n_folds, len(rows)), shuffle=True, random_state=seed).split(rows)
    elif split == "scaffold":
        group, title = murcko_scaffolds(study.table["smiles"]), "grouped by scaffold"
        pairs = group_folds(len(rows), group, n_folds=n_folds, seed=seed)
    else:
        if columns.group is not None:
            group, title = study.table["group"].to_numpy(dtype=str), f"grouped by {columns.group}"
        own = None if isinstance(split, str) else split
        pairs = own.split(rows, groups=group) if own else group_folds(len(rows), group, n_folds=n_folds, seed=seed)
    # a combination holds each of its names; only where combinations are the unit is it one of its own
    unit = group if held_out is None else held_out
    barrier = names if split == "perturbation" else tuple((one,) for one in unit)
    folds = []
    for train, test in pairs:
        if split != "random":
            require_no_leak(*(chain.from_iterable(barrier[row] for row in side) for side in (train, test)))
        folds.append(
            Fold(train, test, _combination_title(names, train, test) if split == "combination" else title, group[test])
        )
    if not folds and split == "dose":
        raise ValueError("`split='dose'` gives no fold: fewer than two perturbations were measured at several doses")
    if not folds:
        raise ValueError(
            f"`split={split!r}` gives no fold: there are {len(set(group))} groups in {len(label)} conditions"
        )
    return folds


def _combination_title(names: tuple[tuple[str, ...], ...], train: np.ndarray, test: np.ndarray) -> str:
    seen = n_singles_seen([names[row] for row in (*train, test[0])])[-1]
    return f"combinations, {seen} of {len(names[test[0]])} seen alone"
