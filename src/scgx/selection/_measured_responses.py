from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from scgx.estimators import Conditions


@dataclass(frozen=True)
class MeasuredResponses:
    """Measured profiles of conditions, and control profiles to take their changes against.

    Attributes
    ----------
    conditions
        n conditions; ``control`` is the mean of all control cells of their unit.
    mean
        Mean profiles, n × genes.
    unit
        Unit of each condition, which says whose controls are its own: a context, or one of its plates (n).
    controls
        Mean profiles of two halves of the control cells of each unit in each random division: divisions × 2 × units ×
        genes. No division where a unit has a single control cell: changes on both sides then share it.
    halves
        Mean profiles of two halves of the cells of each condition, 2 × n × genes; NaN for a condition of one cell.
    """

    conditions: Conditions
    mean: np.ndarray
    unit: np.ndarray
    controls: np.ndarray
    halves: np.ndarray

    @property
    def delta(self) -> np.ndarray:
        """Changes against all control cells, n × genes."""
        return self.mean - self.conditions.control

    def divisions(self) -> Iterator[tuple[Conditions, np.ndarray]]:
        """Each division: conditions with the control that predictions start from, and the control of the truth (n × genes)."""
        if not len(self.controls):
            yield self.conditions, self.conditions.control
        for for_truth, for_prediction in self.controls:
            yield replace(self.conditions, control=for_prediction[self.unit]), for_truth[self.unit]
