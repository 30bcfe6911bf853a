from __future__ import annotations

from typing import Self

import numpy as np
from tqdm import tqdm

from scgx._core.drug_pairs import DrugPairs
from scgx.estimators import BaseSynergy
from scgx.estimators._synergy import is_binary
from scgx.selection._synergy import ONE_HOT, SYNERGIES, synergy_folds, synergy_scores

SYNERGY_STACK = "stack"
_LEAST_GAIN = 0.002
_EDGE = 1e-4


class AutoSynergy(BaseSynergy):
    """Score methods on held-out pairs that are as new as those to be predicted, keep the best and fit it on all.

    With several methods their non-negative combination (of log odds for labels) is a further candidate, if it gains at
    least 0.002; its held-out scores come from weights of the other folds. One method alone is used whatever its score.

    Parameters
    ----------
    names
        Names in :data:`SYNERGIES`, simplest first: of equally good ones the first is chosen.
    question
        What is new: ``split`` of :func:`synergy_folds`, or ``"measured"``. If that cannot be held out (one line only, too
        few drugs), what is easier is, in the end pairs × lines at random.
    n_folds
        Folds.
    seed
        Seed of folds and methods.
    progress
        Show a progress bar.

    Attributes
    ----------
    chosen_
        The method that predicts.
    scores_
        ``auroc`` and ``auprc`` (of scores ``spearman`` and ``pearson``), means over folds, of each method, of ``"one_hot"``
        and of the stack. NaN if nothing could be held out.
    split_
        What was held out.
    weights_
        Weight of each method in what predicts.
    """

    def __init__(
        self, names: list[str], question: str = "pair", *, n_folds: int = 5, seed: int = 0, progress: bool = False
    ) -> None:
        self.names = names
        self.question = question
        self.n_folds = n_folds
        self.seed = seed
        self.progress = progress

    def fit(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """Choose and fit. See :meth:`BaseSynergy.fit`."""
        binary = is_binary(y)
        folds = self._folds(pairs, y)
        held: dict[str, list[np.ndarray]] = {name: [] for name in dict.fromkeys((*self.names, ONE_HOT))}
        steps = [(fold, name) for fold in folds for name in held]
        for (train, test), name in tqdm(
            steps, desc=f"synergy, new: {self.question}", delay=2, disable=not self.progress
        ):
            fitted = SYNERGIES[name](self.seed).fit(pairs.take(train), y[train])
            held[name].append(fitted.predict(pairs.take(test)))
        truth = [y[test] for _, test in folds]
        self.scores_ = {name: _mean_scores(truth, predicted, binary=binary) for name, predicted in held.items()}
        first = next(iter(self.scores_[ONE_HOT]))
        self.chosen_ = max(self.names, key=lambda name: _rank(self.scores_[name][first]))
        self.weights_, self.shift_ = {self.chosen_: 1.0}, 0.0
        if len(self.names) > 1 and len(folds) > 1:
            inputs = [np.stack([_link(held[name][k], binary=binary) for name in self.names]) for k in range(len(folds))]
            self._stack(inputs, truth, first, binary=binary)
        self.binary_ = binary
        self.fitted_: dict[str, BaseSynergy] = {}
        return self.fit_chosen(pairs, y)

    def fit_chosen(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """Fit what was chosen earlier, without testing again; what is fitted stays as it is."""
        for name in self.weights_:
            if name not in self.fitted_:
                self.fitted_[name] = SYNERGIES[name](self.seed).fit(pairs, y)
        return self

    def predict(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`BaseSynergy.predict`."""
        if self.chosen_ != SYNERGY_STACK:
            return self.fitted_[self.chosen_].predict(pairs)
        total = self.shift_ + sum(
            self.weights_[name] * _link(fitted.predict(pairs), binary=self.binary_)
            for name, fitted in self.fitted_.items()
        )
        return _inverse(np.asarray(total), binary=self.binary_)

    def _folds(self, pairs: DrugPairs, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Folds with both labels in either part; those of an easier question if there are none."""
        asked = "random" if self.question == "measured" else self.question
        easier = ("one_drug", "pair") if "drug" in asked else ()
        for self.split_ in dict.fromkeys((asked, asked.removesuffix(" + line"), *easier, "random")):
            folds = synergy_folds(pairs, self.split_, n_folds=self.n_folds, seed=self.seed)
            folds = [(train, test) for train, test in folds if np.ptp(y[train]) > 0 and np.ptp(y[test]) > 0]
            if folds:
                return folds
        self.split_ = "none"
        return []

    def _stack(self, inputs: list[np.ndarray], truth: list[np.ndarray], first: str, *, binary: bool) -> None:
        """Take the stack if it is better than the best of its parts."""
        held = []
        for k, values in enumerate(inputs):
            others = [j for j in range(len(inputs)) if j != k]
            weight, shift = _weights(
                np.hstack([inputs[j] for j in others]), np.concatenate([truth[j] for j in others]), binary=binary
            )
            held.append(_inverse(weight @ values + shift, binary=binary))
        self.scores_[SYNERGY_STACK] = _mean_scores(truth, held, binary=binary)
        if self.scores_[SYNERGY_STACK][first] < self.scores_[self.chosen_][first] + _LEAST_GAIN:
            return
        weight, self.shift_ = _weights(np.hstack(inputs), np.concatenate(truth), binary=binary)
        self.weights_ = {name: float(w) for name, w in zip(self.names, weight, strict=True) if w > 0}
        self.chosen_ = SYNERGY_STACK


def _weights(inputs: np.ndarray, truth: np.ndarray, *, binary: bool) -> tuple[np.ndarray, float]:
    """Non-negative weights of methods × rows and a constant: the least log loss of labels, or squared error of scores."""
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value = parameters[:-1] @ inputs + parameters[-1]
        if binary:
            error = expit(value) - truth
            total = -np.mean(truth * log_expit(value) + (1 - truth) * log_expit(-value))
        else:
            error = value - truth
            total = np.mean(error**2) / 2
        return float(total), np.append(inputs @ error, error.sum()) / len(truth)

    n = len(inputs)
    start = np.append(np.full(n, 1 / n), 0.0)
    bounds = [(0.0, None)] * n + [(None, None)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found[:-1], float(found[-1])


def _link(predicted: np.ndarray, *, binary: bool) -> np.ndarray:
    from scipy.special import logit

    return logit(np.clip(predicted, _EDGE, 1 - _EDGE)) if binary else predicted


def _inverse(value: np.ndarray, *, binary: bool) -> np.ndarray:
    from scipy.special import expit

    return expit(value) if binary else value


def _mean_scores(truth: list[np.ndarray], predicted: list[np.ndarray], *, binary: bool) -> dict[str, float]:
    folds = [synergy_scores(t, p, binary=binary) for t, p in zip(truth, predicted, strict=True)]
    if not folds:
        return dict.fromkeys(("auroc", "auprc") if binary else ("spearman", "pearson"), float("nan"))
    return {metric: float(np.mean([fold[metric] for fold in folds])) for metric in folds[0]}


def _rank(score: float) -> float:
    # what was not scored ties, so the simplest is taken; so does a difference that is none
    return round(score, 3) if np.isfinite(score) else -1.0
