from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._reactome_conditions import BaseReactome, ReactomeConditions, one_hot


class AdditiveReactome(BaseReactome):
    r"""Organ plus drug: :math:`y = \mu + a_{\text{organ}} + b_{\text{drug}}`, both effects by ridge regression.

    :math:`\mu` is the training mean; a drug or organ never measured has no effect.

    Parameters
    ----------
    shrinkage
        Ridge penalty, in conditions.
    """

    def __init__(self, *, shrinkage: float = 2.0) -> None:
        self.shrinkage = shrinkage

    def fit(self, conditions: ReactomeConditions, values: np.ndarray) -> Self:
        """Solve for all effects at once. See :meth:`BaseReactome.fit`."""
        self.mean_ = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.organs_, self.drugs_ = np.unique(conditions.organ), np.unique(conditions.drug)
        Z = self._one_hot(conditions)
        penalty = self.shrinkage * np.eye(Z.shape[1], dtype=np.float32)
        self.effects_ = np.linalg.solve(Z.T @ Z + penalty, Z.T @ (values - self.mean_)).astype(np.float32)
        return self

    def predict(self, conditions: ReactomeConditions) -> np.ndarray:
        """Mean and effects, conditions × genes."""
        return self.mean_ + self._one_hot(conditions) @ self.effects_

    def _one_hot(self, conditions: ReactomeConditions) -> np.ndarray:
        return np.hstack([one_hot(conditions.organ, self.organs_), one_hot(conditions.drug, self.drugs_)])
