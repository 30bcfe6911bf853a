from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import clone

from scgx.estimators import BaseTranslator, column_mean
from scgx.metrics import r2_skill
from scgx.selection._cross_validate import OutOfFold, cross_validate
from scgx.selection._scores import prediction_scores
from scgx.selection._stack import stack_weights

#: candidates with less weight than this are left out of a stack
_SMALLEST_WEIGHT = 0.02
STACK = "stack"


class AutoTranslator(BaseTranslator):
    """Cross-validate candidates, stack them, keep what predicts held-out groups best.

    Parameters
    ----------
    candidates
        Translators by name. The stack is made of all of them.
    baselines
        Translators that are scored beside the candidates; one that is no candidate is never chosen.
    n_folds
        Folds, grouped.
    seed
        Seed of the folds.
    progress
        Show a progress bar with the time left.

    Attributes
    ----------
    scores_
        One dict a method (candidates, baselines, ``"stack"``): ``method``, ``role``, ``skill`` (over the gene
        means of the training rows), ``mae``, ``pearson``, ``pearson_delta``, ``pearson_within_gene`` (means over
        rows or genes), ``seconds``. All out of fold.
    chosen_
        Name of the method that predicts.
    weights_
        Weight of each member, relative to the gene means of the training rows.
    out_of_fold_
        Out-of-fold prediction of the chosen method, n × m float32.
    fold_
        Fold in which each row was held out, n.
    """

    def __init__(
        self,
        candidates: Mapping[str, BaseTranslator],
        *,
        baselines: Mapping[str, BaseTranslator] | None = None,
        n_folds: int = 5,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.candidates = candidates
        self.baselines = baselines
        self.n_folds = n_folds
        self.seed = seed
        self.progress = progress

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Cross-validate, choose, and fit what was chosen on all rows. See :meth:`BaseTranslator.fit`."""
        baselines = {k: v for k, v in (self.baselines or {}).items() if k not in self.candidates}
        out = cross_validate(
            {**baselines, **self.candidates},
            X,
            Y,
            groups=groups,
            tissue=tissue,
            n_folds=self.n_folds,
            seed=self.seed,
            progress=self.progress,
        )
        out, weights = self._choose(out, Y, list(self.candidates))
        self.out_of_fold_, self.fold_ = out.predictions[self.chosen_], out.fold
        self.scores_ = [
            _score(name, out, Y) | {"role": "baseline" if name in (self.baselines or {}) else "candidate"}
            for name in out.predictions
        ]
        self.mean_ = column_mean(Y)
        self.weights_ = weights
        self.members_ = {
            name: clone(self.candidates[name]).fit(X, Y, groups=groups, tissue=tissue) for name in self.weights_
        }
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        total = np.tile(self.mean_, (len(X), 1))
        for name, member in self.members_.items():
            total += np.float32(self.weights_[name]) * (member.predict(X, tissue=tissue) - self.mean_)
        return total

    def _choose(self, out: OutOfFold, Y: np.ndarray, names: list[str]) -> tuple[OutOfFold, dict[str, float]]:
        """Set ``chosen_``; return the predictions with those of the stack added, and the members' weights."""
        if len(names) == 1:
            self.chosen_ = names[0]
            return out, {names[0]: 1.0}
        choice = OutOfFold({name: out.predictions[name] for name in names}, out.reference, out.fold, out.seconds)
        weights, stacked = stack_weights(choice, Y)
        predictions = {**out.predictions, STACK: stacked}
        seconds = {**out.seconds, STACK: sum(out.seconds[name] for name in names)}
        out = OutOfFold(predictions, out.reference, out.fold, seconds)
        self.chosen_ = max([*names, STACK], key=lambda name: _skill(name, out, Y))
        kept = {name: weight for name, weight in weights.items() if weight >= _SMALLEST_WEIGHT}
        return out, kept if self.chosen_ == STACK else {self.chosen_: 1.0}


def _skill(name: str, out: OutOfFold, Y: np.ndarray) -> float:
    return r2_skill(Y, out.predictions[name], out.reference[out.fold])


def _score(name: str, out: OutOfFold, Y: np.ndarray) -> dict[str, Any]:
    scores = prediction_scores(Y, out.predictions[name], out.reference[out.fold])
    return {"method": name, **scores, "seconds": out.seconds[name]}
