"""scikit-learn splitters for perturbations, over conditions (rows); `groups` says what must not be on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator, GroupKFold

from scgx._core.molecules import murcko_scaffolds
from scgx.selection._split_checks import Folds, n_singles_seen


class LeavePerturbationsOut(BaseCrossValidator):
    """Whole perturbations held out: all doses, contexts and replicates of a drug or gene, combinations too.

    A fold tests conditions of which every name is held out, and trains on those of which none is; combinations of a
    held-out with a kept name are in neither.

    Parameters
    ----------
    n_folds
        Folds over names; as many as there are names (or more) leaves one name out at a time.
    seed
        Seed of the folds.
    """

    def __init__(self, n_folds: int = 5, seed: int = 0) -> None:
        self.n_folds = n_folds
        self.seed = seed

    def split(self, X: Any, y: Any = None, groups: Sequence[tuple[str, ...]] | None = None) -> Folds:
        """Train and test rows; ``groups`` has the names applied together in each condition, a tuple each."""
        perturbations = _required(groups, "the names of each condition")
        names = sorted({name for row in perturbations for name in row})
        if len(names) < 2:
            raise ValueError(f"`groups` holds {len(names)} perturbation; leaving perturbations out needs at least 2.")
        order = np.random.default_rng(self.seed).permutation(len(names))
        for part in np.array_split(order, min(self.n_folds, len(names))):
            held_out = {names[position] for position in part}
            train = np.array([held_out.isdisjoint(row) for row in perturbations])
            test = np.array([held_out.issuperset(row) for row in perturbations])
            if train.any() and test.any():  # a name that occurs in combinations only tests nothing
                yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Sequence[tuple[str, ...]] | None = None) -> int:
        """Number of folds that test something."""
        return sum(1 for _ in self.split(X, y, groups))


class LeaveCombinationOut(BaseCrossValidator):
    """One combination (double, triple, …) held out at a time, in all its contexts and doses; the rest is training.

    Parameters
    ----------
    n_seen
        Only combinations of which so many parts were measured alone: 0, 1, 2, …; ``None`` for all.
    """

    def __init__(self, n_seen: int | None = None) -> None:
        self.n_seen = n_seen

    def split(self, X: Any, y: Any = None, groups: Sequence[tuple[str, ...]] | None = None) -> Folds:
        """Train and test rows; ``groups`` has the names applied together in each condition, a tuple each."""
        perturbations = _required(groups, "the names of each condition")
        seen = n_singles_seen(perturbations)
        wanted = {
            row: None
            for row, n in zip(perturbations, seen, strict=True)
            if len(row) > 1 and self.n_seen in (None, n)  # a dict keeps the order
        }
        for combination in wanted:
            test = np.array([row == combination for row in perturbations])
            yield np.flatnonzero(~test), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Sequence[tuple[str, ...]] | None = None) -> int:
        """Number of combinations."""
        return sum(1 for _ in self.split(X, y, groups))


class ScaffoldKFold(GroupKFold):
    """Molecules of one Bemis–Murcko scaffold stay together; ``groups`` has the SMILES of each row.

    Salts are stripped; a molecule without rings is its own group. See :class:`sklearn.model_selection.GroupKFold`.
    """

    def split(self, X: Any, y: Any = None, groups: Sequence[str] | None = None) -> Folds:
        """Train and test rows.

        Raises
        ------
        ValueError
            If a SMILES cannot be read; the message names it.
        """
        yield from super().split(X, y, murcko_scaffolds(_required(groups, "the SMILES of each row")))


def _required(groups: Sequence[Any] | None, what: str) -> Sequence[Any]:
    if groups is None:
        raise ValueError(f"`groups` is None; give {what}.")
    return groups
