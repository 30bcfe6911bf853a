from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._reactome_conditions import (
    BaseReactome,
    ReactomeConditions,
    drug_profiles,
    one_hot,
    similarity_elsewhere,
)
from scgx.estimators._reactome_mean import ReactomeMean


class NearestDrugs(BaseReactome):
    r"""The drugs that are alike through the other organs say what a drug does in this one.

    :math:`\hat r = \sum_i s_i r_i / (\lambda + \sum_i s_i)` over the k drugs measured in the organ that are most alike,
    where r is what departs from the design mean (:class:`ReactomeMean`) and :math:`s_i \ge 0` the cosine of the two
    drugs' r, averaged over the other organs in which both were measured. A drug measured nowhere gets the design mean.

    Parameters
    ----------
    n_neighbors
        k.
    shrinkage
        λ, in units of a drug that is alike in all respects.
    """

    def __init__(self, *, n_neighbors: int = 20, shrinkage: float = 0.5) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage

    def fit(self, conditions: ReactomeConditions, values: np.ndarray) -> Self:
        """Compare drugs. See :meth:`BaseReactome.fit`."""
        self.mean_ = ReactomeMean().fit(conditions, values)
        self.drugs_, self.organs_ = np.unique(conditions.drug), np.unique(conditions.organ)
        residuals = values - self.mean_.predict(conditions)
        self.profiles_, self.measured_ = drug_profiles(conditions, residuals, self.drugs_, self.organs_)
        similarity, shared = similarity_elsewhere(self.profiles_, self.measured_)
        others = self.measured_.sum(axis=0) - self.measured_
        scale = np.sqrt(np.maximum(others[:, :, None] * others[:, None, :], 1))
        self.similarity_ = np.maximum(similarity, 0) * scale / np.maximum(shared, 1)
        return self

    def predict(self, conditions: ReactomeConditions) -> np.ndarray:
        """Design mean and what the nearest drugs add, conditions × genes."""
        predicted = self.mean_.predict(conditions)
        drug = one_hot(conditions.drug, self.drugs_)
        for position, organ in enumerate(self.organs_):
            rows = np.flatnonzero((conditions.organ == organ) & drug.any(axis=1))
            s = self.similarity_[position][drug[rows].argmax(axis=1)] * self.measured_[position]
            s[drug[rows].astype(bool)] = 0
            if s.shape[1] > self.n_neighbors:
                least = np.partition(s, -self.n_neighbors, axis=1)[:, [-self.n_neighbors]]
                s[s < least] = 0
            predicted[rows] += s @ self.profiles_[position] / (self.shrinkage + s.sum(axis=1, keepdims=True))
        return predicted
