"""Which of the responses that were held out for is better, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scgx.selection._auto import STACK
from scgx.selection._bootstrap import PairedDifference, paired_bootstrap
from scgx.selection._response_cross_validation import ConditionScores, HeldOutResponses

#: skills that differ by less are a tie, which goes to the simpler response
_TIE = 0.002
#: width of a 95 % interval in standard errors
_INTERVAL_IN_ERRORS = 2 * 1.96
#: groups held out from which on the stack is preferred to its members
_ENOUGH_TO_WEIGH = 20


def as_in_use(out: HeldOutResponses) -> HeldOutResponses:
    """No change with the error that halved control cells spare it alone, or few of them would speak for it."""
    if "no_change" not in out.scores:
        return out
    scores = out.scores["no_change"]
    scores = scores | {"squared_error": scores["squared_error"] + out.control_noise}
    return replace(out, scores=out.scores | {"no_change": scores})


def skill_of(scores: ConditionScores) -> float:
    return float(1 - scores["squared_error"].sum() / max(scores["reference_squared_error"].sum(), 1e-300))


def best_of(names: Sequence[str], skill: dict[str, float]) -> str:
    """The first (simplest) of those that nothing beats by more than a tie."""
    top = max(skill[name] for name in names)
    return next(name for name in names if skill[name] > top - _TIE)


def steadiest(learned: Sequence[str], skill: dict[str, float], out: HeldOutResponses, groups: np.ndarray) -> str:
    """The stack where enough was held out to weigh its members, unless one alone is probably better; else the best."""
    best = best_of(learned, skill)
    if STACK not in learned or len(np.unique(groups)) < _ENOUGH_TO_WEIGH:
        return best
    # which member is best changes from fold to fold, and their average is better than most of such choices
    alone = skill[best] > skill[STACK] + _TIE and is_probable(contest(best, STACK, out, groups))
    return best if alone else STACK


def is_probable(gain: PairedDifference | None) -> bool:
    """Whether a gain is more than one standard error."""
    return gain is not None and gain.difference > (gain.high - gain.low) / _INTERVAL_IN_ERRORS


def contest(method: str, other: str, out: HeldOutResponses, groups: np.ndarray) -> PairedDifference | None:
    """Skill of one method minus that of another, from a bootstrap over what was held out; ``None`` for a single group."""
    if len(np.unique(groups)) < 2:
        return None
    return paired_bootstrap(
        out.scores[method]["squared_error"],
        out.scores[other]["squared_error"],
        out.scores[method]["reference_squared_error"],
        groups=groups,
    )


def in_words(gain: PairedDifference | None, over: str = "") -> str:
    if gain is None:
        return "a single group was held out"
    interval = f"95 % interval {gain.low:.3f} to {gain.high:.3f}"
    words = f"gain in skill {gain.difference:.3f}, {interval}, {gain.n_groups} groups"
    return f"{words} over {over}" if over else words
