"""What is new in a condition that is asked for, and the held-out test that resembles it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scgx.estimators import Conditions, group_folds
from scgx.selection._split_checks import Folds, n_singles_seen

_TOLERANCE = 1e-6
#: combinations of one kind that are enough to choose by
_ENOUGH = 8


def question_of(names: tuple[str, ...], context: str, log_dose: float | None, known: Conditions) -> str:
    """What is new about a condition.

    Parameters
    ----------
    names, context, log_dose
        The condition asked for.
    known
        Those that were measured.

    Returns
    -------
    ``"measured"``: nothing. ``"dose"``: measured in this context at other doses. ``"pair"``: measured in other contexts,
    and other perturbations in this one. ``"context"``: measured in other contexts, this one is new.
    ``"combination_k"``: several perturbations never measured together, k of them measured alone. ``"perturbation"``:
    never measured.
    """
    rows = [row for row, one in enumerate(known.perturbations) if one == names]
    here = [row for row in rows if known.context[row] == context]
    if here:
        same = known.log_dose is None or log_dose is None or _any_close(known.log_dose[here], log_dose)
        return "measured" if same else "dose"
    if rows:
        return "pair" if context in known.context else "context"
    measured = {name for row in known.perturbations for name in row}
    if len(names) > 1 and measured.intersection(names):
        return f"combination_{n_singles_seen([*known.perturbations, names])[-1]}"
    return "perturbation"


def question_folds(
    conditions: Conditions, question: str, *, n_folds: int, seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str, np.ndarray]:
    """Folds over measured conditions whose held-out side is new in the way of ``question``.

    Parameters
    ----------
    conditions
        Measured conditions, n.
    question
        As :func:`question_of` names them, but for ``"measured"``.
    n_folds
        Folds of perturbations, pairs and doses; contexts and combinations are left out one at a time.
    seed
        Seed of the folds.

    Returns
    -------
    folds
        Train and test rows; none where the conditions allow no such test. Of fewer than eight combinations of the kind that
        is asked for, those of every kind are tested.
    title
        The split in words.
    groups
        What was held out together, a label a condition (n).
    """
    from sklearn.model_selection import LeaveOneGroupOut

    from scgx.selection._splits import LeavePerturbationsOut

    names = conditions.perturbations
    label = np.array(["\n".join(one) for one in names])
    pair = np.char.add(np.char.add(label, "\n\n"), np.asarray(conditions.context, dtype=str))
    rows = np.zeros((len(names), 1))
    folds: Folds
    if question == "perturbation":
        groups, title = label, "perturbations held out"
        several = len({name for one in names for name in one}) > 1
        folds = LeavePerturbationsOut(n_folds, seed).split(rows, groups=names) if several else iter(())
        return list(folds), title, groups
    if question.startswith("combination"):
        return *_combination_folds(names, int(question.rpartition("_")[2])), label
    if question == "context":
        groups, title = np.asarray(conditions.context, dtype=str), "contexts held out"
        folds = LeaveOneGroupOut().split(rows, groups=groups) if len(set(groups)) > 1 else iter(())
        learned_from = label
    elif question == "pair":
        groups, title, learned_from = pair, "perturbations held out of one context", label
        folds = _group_folds(groups, n_folds, seed)
    else:
        dose = np.zeros(len(names)) if conditions.log_dose is None else conditions.log_dose
        groups = np.char.add(np.char.add(pair, "\n"), np.round(dose, 6).astype(str))
        title, learned_from = "doses held out", pair
        folds = _group_folds(groups, n_folds, seed)
    # what no training row tells of would be another question
    kept = [(train, test[np.isin(learned_from[test], learned_from[train])]) for train, test in folds]
    return [(train, test) for train, test in kept if len(test)], title, groups


def _combination_folds(
    names: Sequence[tuple[str, ...]], n_seen: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    from scgx.selection._splits import LeaveCombinationOut

    rows = np.zeros((len(names), 1))
    alike, every = (list(LeaveCombinationOut(n).split(rows, groups=names)) for n in (n_seen, None))
    # which method is best differs little between kinds, and by how much it wins is mostly chance among a few
    if len(alike) >= min(_ENOUGH, len(every)):
        return alike, f"combinations held out, {n_seen} of their parts seen alone"
    return every, "combinations held out, however many parts seen alone"


def _group_folds(groups: np.ndarray, n_folds: int, seed: int) -> Folds:
    if len(np.unique(groups)) > 1:
        yield from group_folds(len(groups), groups, n_folds=n_folds, seed=seed)


def _any_close(values: np.ndarray, value: float) -> bool:
    return bool((np.abs(values - value) < _TOLERANCE).any())
