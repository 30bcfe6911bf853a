from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scgx.estimators._labels import BaseLabelClassifier, Matrix


@dataclass(frozen=True)
class RowBlocks:
    """Several views of the same rows (genes, an embedding, …), indexed together: an ``X`` for label classifiers."""

    blocks: Mapping[str, Any]
    """By name; anything that can be indexed by rows."""

    def __getitem__(self, rows: np.ndarray) -> RowBlocks:
        return RowBlocks({name: block[rows] for name, block in self.blocks.items()})

    def __len__(self) -> int:
        return int(next(iter(self.blocks.values())).shape[0])


class BlockLabels(BaseLabelClassifier):
    """A label classifier that reads one block of :class:`RowBlocks`.

    Parameters
    ----------
    estimator
        A label classifier.
    block
        Name of its block.
    """

    def __init__(self, estimator: BaseLabelClassifier, block: str) -> None:
        self.estimator = estimator
        self.block = block

    def fit(self, X: Matrix, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Fit a clone on the block. See :meth:`BaseLabelClassifier.fit`."""
        from sklearn.base import clone

        self.estimator_ = clone(self.estimator).fit(X.blocks[self.block], y, batch=batch)
        self.classes_ = self.estimator_.classes_
        return self

    def predict_proba(self, X: Matrix, *, batch: np.ndarray | None = None) -> np.ndarray:
        """See :meth:`BaseLabelClassifier.predict_proba`."""
        return self.estimator_.predict_proba(X.blocks[self.block], batch=batch)
