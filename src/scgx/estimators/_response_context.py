from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_mean import MeanDelta


class ContextMean(BaseResponse):
    """Mean response of the other contexts to the same perturbation, at the nearest dose.

    A perturbation that no other context has seen gets the mean change (:class:`MeanDelta`).
    """

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Keep the training responses. See :meth:`BaseResponse.fit`."""
        self.conditions_, self.delta_ = conditions, delta
        self.mean_ = MeanDelta().fit(conditions, delta)
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """(Weighted) mean over contexts, conditions × genes."""
        predicted = self.mean_.predict(conditions)
        for row, others in enumerate(same_perturbation(conditions, self.conditions_)):
            if len(others):
                predicted[row] = self._combine(conditions.control[row], others)
        return predicted

    def _combine(self, control: np.ndarray, others: np.ndarray) -> np.ndarray:
        return self.delta_[others].mean(axis=0)


class SimilarityWeighted(ContextMean):
    r"""Responses of the other contexts to the same perturbation, similar contexts counting more.

    Weights are :math:`\lVert c - c' \rVert^{-2p}` with the control profiles :math:`c` of both contexts.

    Parameters
    ----------
    power
        p; 0 is :class:`ContextMean`. 2 was settled on the cell types of Kang et al. (2018).
    """

    def __init__(self, power: float = 2.0) -> None:
        self.power = power

    def _combine(self, control: np.ndarray, others: np.ndarray) -> np.ndarray:
        distance = ((self.conditions_.control[others] - control) ** 2).sum(axis=1)
        nearest = max(float(distance.min()), 1e-12)
        weights = (nearest / np.maximum(distance, nearest)) ** self.power
        return (weights / weights.sum()) @ self.delta_[others]


def same_perturbation(conditions: Conditions, training: Conditions) -> list[np.ndarray]:
    """Training rows with the perturbation of each condition in *other* contexts, of each the nearest dose."""
    known: dict[tuple[str, ...], list[int]] = {}
    for row, names in enumerate(training.perturbations):
        known.setdefault(names, []).append(row)
    found = []
    for row, names in enumerate(conditions.perturbations):
        rows = np.array(known.get(names, []), dtype=int)
        rows = rows[training.context[rows] != conditions.context[row]]
        if conditions.log_dose is not None and training.log_dose is not None and len(rows):
            gap = np.abs(training.log_dose[rows] - conditions.log_dose[row])
            closest = {name: gap[training.context[rows] == name].min() for name in training.context[rows]}
            rows = rows[gap <= [closest[name] + 1e-9 for name in training.context[rows]]]
        found.append(rows)
    return found
