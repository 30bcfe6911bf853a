from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone

from scgx.estimators import BaseResponse, Conditions, MeanDelta
from scgx.metrics import average
from scgx.selection._auto import STACK
from scgx.selection._measured_responses import MeasuredResponses
from scgx.selection._questions import question_folds
from scgx.selection._response_contest import as_in_use, best_of, contest, in_words, is_probable, skill_of, steadiest
from scgx.selection._response_cross_validation import CEILING, HeldOutResponses, cross_validate_responses
from scgx.selection._responses import RESPONSE_BASELINES, RESPONSES, WITH_FEATURES

#: what must be beaten for there to be a signal: nothing in them is special to a perturbation or a context
_TRIVIAL = ("mean_delta", "no_change", "design_mean")
#: baselines that may predict: the plates of the reference (design_mean) are not those of the query
_FALLBACK = ("mean_delta", *(name for name in RESPONSE_BASELINES if name not in _TRIVIAL), "no_change")
#: what predicts where nothing can be held out
_UNTESTED = {
    "context": "context_mean",
    "pair": "context_mean",
    "combination": "additive",
    "dose": "dose_interpolation",
}
#: candidates with less weight than this are left out of a stack
_SMALLEST_WEIGHT = 0.02


@dataclass(frozen=True)
class ResponseChoice:
    """What predicts, and why; plain values and arrays.

    Attributes
    ----------
    method
        Name of the response chosen, ``"stack"`` or ``"measured"``.
    weights
        Weight of each response in the prediction, relative to the mean change.
    split
        How it was tested, in words.
    scores
        One array a column, one row a method: ``method``, ``role``, ``pearson_delta``, ``pearson_delta_mean``, ``mae``,
        ``skill``, ``mse_top20`` (means over held-out conditions), ``seconds``; empty where nothing could be held out.
    signal
        Whether it beats the best trivial response on held-out conditions, the interval of the gain above zero.
    verdict
        The same in words.
    residuals
        Measured less predicted change of held-out conditions, t × genes; of ``"measured"``, of one half of the cells
        less the other.
    fold
        Fold of each, t.
    """

    method: str
    weights: dict[str, float]
    split: str
    scores: dict[str, np.ndarray]
    signal: bool
    verdict: str
    residuals: np.ndarray
    fold: np.ndarray


class AutoResponse(BaseEstimator):
    """Test responses on what is new in the question, stack them, keep what predicts best, and say if anything does.

    The score is the skill over the mean change on held-out conditions; a tie (less than 0.002) goes to the simpler response.
    The best baseline predicts (nothing in it is tuned; beside other baselines no change is charged with the noise of halved
    control cells, which it alone is spared), unless what was learned beats it by more than one standard error of the difference, from a bootstrap
    over what was held out. Of what was learned it is the stack, where at least 20 groups were held out and no response alone
    beats it by more than one standard error; the best otherwise. There is a *signal* if what predicts surely beats (95 %
    interval of the difference above zero) the best trivial response: mean change, that of the design, no change.

    Parameters
    ----------
    candidates
        Unfitted responses by name, the simplest first.
    baselines
        Responses that are scored beside the candidates; ``mean_delta`` is always one.
    question
        What will be asked for; see :func:`question_of`. Not ``"measured"``.
    n_folds, seed
        See :func:`question_folds`.
    progress
        Show a progress bar.

    Attributes
    ----------
    choice_
        What predicts, and why.
    members_
        Fitted responses of the prediction, by name.

    Notes
    -----
    A single candidate is not chosen but asked for: it predicts in any case.
    """

    def __init__(
        self,
        candidates: Mapping[str, BaseResponse],
        *,
        question: str,
        baselines: Mapping[str, BaseResponse] | None = None,
        n_folds: int = 5,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.candidates = candidates
        self.question = question
        self.baselines = baselines
        self.n_folds = n_folds
        self.seed = seed
        self.progress = progress

    def fit(self, measured: MeasuredResponses) -> Self:
        """Test, choose, and fit what was chosen on all conditions."""
        folds, split, groups = question_folds(measured.conditions, self.question, n_folds=self.n_folds, seed=self.seed)
        responses = self._fittable(measured.conditions, [train for train, _ in folds])
        if not len(measured.controls):
            split += ", shared controls (optimistic)"
        if not folds:
            choice = self._untested(split, measured.mean.shape[1])
        else:
            # with no change the stack could shrink the mean change, which is no knowledge of a perturbation
            stacked = [name for name in responses if name in self.candidates and name != "no_change"]
            out = cross_validate_responses(measured, responses, folds, stacked=stacked, progress=self.progress)
            choice = self._choose(out, split, groups[out.rows])
        return self.fit_chosen(choice, measured)

    def fit_chosen(self, choice: ResponseChoice, measured: MeasuredResponses) -> Self:
        """Fit what an earlier choice needs, without testing again."""
        self.choice_ = choice
        self.mean_ = MeanDelta().fit(measured.conditions, measured.delta)
        self.members_ = {
            name: clone(self._response(name)).fit(measured.conditions, measured.delta) for name in choice.weights
        }
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Predicted changes, conditions × genes."""
        center = self.mean_.predict(conditions)
        total = center.copy()
        for name, member in self.members_.items():
            total += self.choice_.weights[name] * (member.predict(conditions) - center)
        return total

    def _response(self, name: str) -> BaseResponse:
        known = {**(self.baselines or {}), **self.candidates}
        return known[name] if name in known else RESPONSES[name](self.seed)

    def _fittable(self, conditions: Conditions, trains: list[np.ndarray]) -> dict[str, BaseResponse]:
        """Baselines and candidates, but for those that tune themselves over perturbations where a fold has one only."""
        few = any(len({conditions.perturbations[row] for row in train}) < 2 for train in trains)
        named = {"mean_delta": MeanDelta(), **(self.baselines or {}), **self.candidates}
        return {name: response for name, response in named.items() if not (few and name in WITH_FEATURES)}

    def _untested(self, split: str, n_genes: int) -> ResponseChoice:
        fallback = _UNTESTED.get(self.question.rpartition("_")[0] or self.question, "mean_delta")
        method = next(iter(self.candidates)) if len(self.candidates) == 1 else fallback
        return ResponseChoice(
            method=method,
            weights={method: 1.0},
            split=f"none: {split} would need more conditions",
            scores={},
            signal=False,
            verdict=f"not tested: there are too few conditions for {split}; {method} predicts",
            residuals=np.empty((0, n_genes), dtype=np.float32),
            fold=np.empty(0, dtype=int),
        )

    def _choose(self, out: HeldOutResponses, split: str, groups: np.ndarray) -> ResponseChoice:
        skill = {name: skill_of(scores) for name, scores in out.scores.items()}
        in_use = {name: skill_of(scores) for name, scores in as_in_use(out).scores.items()}
        baseline = best_of([name for name in _FALLBACK if name in skill], in_use)
        learned = [name for name in (*self.candidates, STACK) if name in skill and name not in _FALLBACK]
        method, words = baseline, ""
        if len(self.candidates) == 1:
            method = next(name for name in (*self.candidates, baseline) if name in skill)
        elif learned:
            best = steadiest(learned, skill, out, groups)
            gained = contest(best, baseline, out, groups)
            better = is_probable(gained)
            method = best if better else baseline
            words = "" if better else f"; best of the others is {best}, {in_words(gained, over=baseline)}"
        trivial = best_of([name for name in _TRIVIAL if name in skill], skill)
        gained = None if method in _TRIVIAL else contest(method, trivial, out, groups)
        signal = gained is not None and gained.low > 0
        gain = "" if method in _TRIVIAL else in_words(gained)
        kept = {name: weight for name, weight in out.weights.items() if weight >= _SMALLEST_WEIGHT}
        verdict = f"{method} beats {trivial}" if signal else f"no signal above {trivial}"
        return ResponseChoice(
            method=method,
            weights=kept if method == STACK else {method: 1.0},
            split=split,
            scores=_table(out, skill, set(self.candidates)),
            signal=signal,
            verdict=f"{verdict} ({split}){gain and ': '}{gain}; {method} predicts{words}",
            residuals=out.residuals[method].astype(np.float32),
            fold=out.fold,
        )


def _table(out: HeldOutResponses, skill: dict[str, float], candidates: set[str]) -> dict[str, np.ndarray]:
    rows: list[dict[str, Any]] = []
    for name, scores in out.scores.items():
        role = "ceiling" if name == CEILING else "baseline" if name in RESPONSE_BASELINES else "candidate"
        if name not in candidates and role == "candidate" and name != STACK:
            role = "baseline"
        means = {m: average(scores[m]) for m in ("pearson_delta", "pearson_delta_mean", "mae", "mse_top20")}
        rows.append(
            {"method": name, "role": role, **means, "skill": skill[name], "seconds": out.seconds.get(name, 0.0)}
        )
    return {column: np.array([row[column] for row in rows]) for column in rows[0]}


def measured_choice(measured: MeasuredResponses) -> ResponseChoice:
    """Of conditions that were measured: their change is what was measured, as sure as one half of its cells is of the other."""
    half, other = measured.halves
    several = np.isfinite(half).all(axis=1)
    return ResponseChoice(
        method="measured",
        weights={},
        split="halves of the cells of a condition" if several.any() else "none: a condition has one cell",
        scores={},
        signal=True,
        verdict="measured in the reference; nothing is predicted",
        residuals=(half - other)[several].astype(np.float32),
        fold=np.arange(int(several.sum())) % 5,
    )
