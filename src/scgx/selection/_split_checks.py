"""What a split is asked, apart from the splitters: their scikit-learn base is slow to import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from scgx._core import examples

Folds = Iterator[tuple[np.ndarray, np.ndarray]]


def n_singles_seen(perturbations: Sequence[tuple[str, ...]]) -> np.ndarray:
    """How many parts of each condition were also measured alone, n."""
    alone = {row[0] for row in perturbations if len(row) == 1}
    return np.array([sum(name in alone for name in row) for row in perturbations], dtype=int)


def require_no_leak(train_groups: Iterable[object], test_groups: Iterable[object]) -> None:
    """Raise if a group is both in training and in testing.

    Parameters
    ----------
    train_groups, test_groups
        Labels of the rows of either side, in any number and order.

    Raises
    ------
    ValueError
        If a label is on both sides; the message names it.
    """
    shared = sorted(set(map(str, train_groups)) & set(map(str, test_groups)))
    if shared:
        raise ValueError(
            f"the split leaks: {len(shared)} groups are both in training and in testing: {examples(shared)}; keep the "
            "rows of a group together, for example with `sklearn.model_selection.GroupKFold`"
        )
