from __future__ import annotations

from typing import Literal, Self

import numpy as np

from scgx.estimators._reactome_conditions import BaseReactome, ReactomeConditions, one_hot


class ReactomeMean(BaseReactome):
    r"""Mean response of a group of conditions, shrunk to the mean of the group around it.

    Group by group from coarse to fine, :math:`\hat y \leftarrow \hat y + \sum_{i} (y_i - \hat y_i) / (n + \lambda)` over
    the :math:`n` training conditions of the group. A group never measured adds nothing, so that the next coarser one
    decides.

    Parameters
    ----------
    by
        ``"organ"``; ``"drug"``; ``"design"``: organ, then organ × first design column, then organ × first two, …: the
        baseline that knows how a response was measured and nothing of the drug.
    shrinkage
        λ, in conditions.
    """

    def __init__(self, by: Literal["organ", "drug", "design"] = "design", *, shrinkage: float = 2.0) -> None:
        self.by = by
        self.shrinkage = shrinkage

    def fit(self, conditions: ReactomeConditions, values: np.ndarray) -> Self:
        """Average by group. See :meth:`BaseReactome.fit`."""
        self.mean_ = values.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.effects_: list[tuple[dict[tuple[int, ...], int], np.ndarray]] = []
        left = values - self.mean_
        for keys in self._levels(conditions):
            names, index = np.unique(keys, axis=0, return_inverse=True)
            member = one_hot(index.ravel(), np.arange(len(names)))
            effects = member.T @ left / (member.sum(axis=0) + self.shrinkage)[:, None]
            left -= effects[index.ravel()]
            self.effects_.append(({tuple(name): row for row, name in enumerate(names.tolist())}, effects))
        return self

    def predict(self, conditions: ReactomeConditions) -> np.ndarray:
        """Mean of the finest group measured, shrunk; conditions × genes."""
        predicted = np.tile(self.mean_, (len(conditions), 1))
        for (rows_of, effects), keys in zip(self.effects_, self._levels(conditions), strict=True):
            index = np.array([rows_of.get(tuple(key), -1) for key in keys.tolist()], dtype=np.intp)
            known = index >= 0
            predicted[known] += effects[index[known]]
        return predicted

    def _levels(self, conditions: ReactomeConditions) -> list[np.ndarray]:
        if self.by == "drug":
            return [conditions.drug[:, None]]
        organ = conditions.organ[:, None]
        if self.by == "organ":
            return [organ]
        return [np.hstack([organ, conditions.design[:, :k]]) for k in range(conditions.design.shape[1] + 1)]
