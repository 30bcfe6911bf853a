from __future__ import annotations

from typing import Literal, Self

import numpy as np

from scgx.estimators._conditions import BaseResponse, Conditions


class NoChange(BaseResponse):
    """Predicts that nothing happens: the copy of the control, which raw correlation rewards."""

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Remember the number of genes. See :meth:`BaseResponse.fit`."""
        self.n_genes_ = delta.shape[1]
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Zeros, conditions × genes."""
        return np.zeros((len(conditions), self.n_genes_))


class MeanDelta(BaseResponse):
    """The mean change of the training conditions: what all perturbations share.

    Parameters
    ----------
    by
        Average the conditions of the same ``"context"``, or of the same context and ``"design"``. A context or design
        not seen in training gets the mean over all, of the context where that was seen.
    """

    def __init__(self, by: Literal["context", "design"] = "context") -> None:
        self.by = by

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Average. See :meth:`BaseResponse.fit`.

        Raises
        ------
        ValueError
            If ``by="design"`` and the conditions have no design.
        """
        if self.by == "design" and conditions.design is None:
            raise ValueError("`by='design'` needs `conditions.design`; found None. Give one label a condition.")
        rows: dict[tuple[str, ...], list[int]] = {}
        for row, keys in enumerate(self._keys(conditions)):
            for key in keys:
                rows.setdefault(key, []).append(row)
        self.means_ = {key: delta[members].mean(axis=0) for key, members in rows.items()}
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean of the finest level that was seen, conditions × genes."""
        return np.stack(
            [next(self.means_[key] for key in keys if key in self.means_) for keys in self._keys(conditions)]
        )

    def _keys(self, conditions: Conditions) -> list[tuple[tuple[str, ...], ...]]:
        """Levels of each condition, from fine to all."""
        context = [str(name) for name in conditions.context]
        if self.by == "context" or conditions.design is None:
            return [((name,), ()) for name in context]
        return [((name, str(cell)), (name,), ()) for name, cell in zip(context, conditions.design, strict=True)]
