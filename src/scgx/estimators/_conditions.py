from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class Conditions:
    """What was done to which cells, one row a condition.

    Attributes
    ----------
    perturbations
        Names of what was applied together (drugs, genes), one tuple of one or more names a condition.
    context
        Cell type, line or tissue, n.
    control
        Mean profile of control cells of the context, n × genes.
    log_dose
        log10 of the dose, n; ``None`` where all doses are equal.
    features
        What is known of the perturbation beforehand, n × f: a fingerprint, gene sets, an embedding.
    design
        How it was measured (plate, vehicle, time), n: nothing that a response should depend on, but often does.

    Raises
    ------
    ValueError
        If the lengths differ or a condition has no perturbation.
    """

    perturbations: tuple[tuple[str, ...], ...]
    context: np.ndarray
    control: np.ndarray
    log_dose: np.ndarray | None = None
    features: np.ndarray | None = None
    design: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, values in self._arrays().items():
            if len(values) != len(self):
                raise ValueError(
                    f"`{name}` has {len(values)} rows for {len(self)} conditions in `perturbations`; give one a condition"
                )
        empty = [row for row, names in enumerate(self.perturbations) if not names]
        if empty:
            raise ValueError(f"`perturbations` is empty in row {empty[0]}; controls are no condition: leave them out")

    def __len__(self) -> int:
        return len(self.perturbations)

    def take(self, rows: np.ndarray) -> Conditions:
        """Some of the conditions, in the order asked for."""
        arrays = {name: np.asarray(values)[rows] for name, values in self._arrays().items()}
        return Conditions(tuple(self.perturbations[row] for row in rows), **arrays)

    def _arrays(self) -> dict[str, np.ndarray]:
        named = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "perturbations"}
        return {name: values for name, values in named.items() if values is not None}


class BaseResponse(BaseEstimator, ABC):
    """Predicts the change that a perturbation makes to the mean profile, perturbed − control.

    A scikit-learn estimator (parameters in ``__init__``, so that it can be cloned) whose rows are conditions.
    """

    @abstractmethod
    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Learn from measured changes.

        Parameters
        ----------
        conditions
            n conditions.
        delta
            Their changes, n × genes, in the unit of the data (log expression).
        """

    @abstractmethod
    def predict(self, conditions: Conditions) -> np.ndarray:
        """Predicted changes, conditions × genes."""
