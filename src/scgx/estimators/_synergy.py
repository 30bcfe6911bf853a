from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator

from scgx._core.drug_pairs import DrugPairs


class BaseSynergy(BaseEstimator, ABC):
    """Predicts what a pair of drugs does in a cell line, whatever the order in which the two are named.

    Fitted on labels of 0 and 1 it predicts the probability of 1, on any other numbers their value.
    """

    @abstractmethod
    def fit(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """Fit on measured pairs.

        Parameters
        ----------
        pairs
            n pairs in cell lines.
        y
            Labels of 0 and 1, or scores; n, finite.
        """

    @abstractmethod
    def predict(self, pairs: DrugPairs) -> np.ndarray:
        """Probability of label 1, or score, of each pair, n. Drugs and lines may be new."""


class SynergyMean(BaseSynergy):
    """Mean of the training pairs that share the pair or the cell line, shrunk to the mean of all.

    ȳ + Σ (y_i − ȳ) / (n + λ) over the n training rows of the same group; ȳ for a new one.

    Parameters
    ----------
    by
        ``"pair"`` or ``"cell_line"``.
    shrinkage
        λ, in rows.
    """

    def __init__(self, by: str, shrinkage: float = 1.0) -> None:
        self.by = by
        self.shrinkage = shrinkage

    def fit(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """Average by group. See :meth:`BaseSynergy.fit`."""
        self.mean_ = float(np.mean(y))
        self.groups_, group = np.unique(getattr(pairs, self.by), return_inverse=True)
        self.deviation_ = np.bincount(group, y - self.mean_) / (np.bincount(group) + self.shrinkage)
        return self

    def predict(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`BaseSynergy.predict`."""
        position = positions(self.groups_, getattr(pairs, self.by))
        return self.mean_ + np.where(position >= 0, self.deviation_[position], 0)


def positions(known: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Position of each name among sorted ``known``, −1 where it is not there."""
    place = np.minimum(np.searchsorted(known, names), len(known) - 1)
    return np.where(known[place] == names, place, -1)


def is_binary(y: np.ndarray) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(y, (0, 1)).all())
