from __future__ import annotations

from typing import Literal, Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean


class TrainingAverage(BaseTranslator):
    """The average training row, whatever the source says: the reference of every skill score.

    Parameters
    ----------
    statistic
        ``"mean"`` or ``"median"`` of each target gene.
    by_tissue
        One average a tissue; rows of a tissue not seen in training get the average over all.
    """

    def __init__(self, statistic: Literal["mean", "median"] = "mean", *, by_tissue: bool = False) -> None:
        self.statistic = statistic
        self.by_tissue = by_tissue

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Average the measured targets. See :meth:`BaseTranslator.fit`."""
        self.overall_ = self._average(Y, np.zeros(Y.shape[1], dtype=np.float32))
        if self.by_tissue and tissue is None:
            raise ValueError("`by_tissue=True` needs `tissue`, one label a row; found None.")
        self.tissues_ = np.unique(np.asarray(tissue, dtype=str)) if self.by_tissue else np.empty(0, dtype=str)
        rows = np.asarray(tissue, dtype=str) if self.by_tissue else None
        averages = [self._average(Y[rows == name], self.overall_) for name in self.tissues_]
        self.averages_ = np.vstack([self.overall_, *averages])
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Average of the row's tissue, rows of ``X`` × m, float32."""
        which = np.zeros(len(X), dtype=int)
        if self.by_tissue and tissue is not None:
            position = {name: i + 1 for i, name in enumerate(self.tissues_)}
            which = np.array([position.get(str(name), 0) for name in tissue], dtype=int)
        return self.averages_[which]

    def _average(self, Y: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """Average of each column that has measured values, ``missing`` elsewhere."""
        measured = np.isfinite(Y).any(axis=0)
        average = missing.copy()
        columns = Y[:, measured]
        average[measured] = column_mean(columns) if self.statistic == "mean" else np.nanmedian(columns, axis=0)
        return average
