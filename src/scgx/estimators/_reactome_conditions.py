from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class ReactomeConditions:
    """Drug × organ conditions as numbers, one row a condition.

    Attributes
    ----------
    drug, organ
        Codes, n. Equal codes mean equal drugs and organs, between training and prediction too.
    design
        Codes of how the response was measured (vehicle, time), n × columns; 0 columns where nothing is known.
    features
        Non-negative features of the drug (fingerprint bits), n × f; a row of 0 where the structure is unknown.
        ``None`` where no structure is known at all.

    Raises
    ------
    ValueError
        If the lengths differ.
    """

    drug: np.ndarray
    organ: np.ndarray
    design: np.ndarray
    features: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("organ", "design", "features"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.drug):
                raise ValueError(f"`{name}` has {len(values)} rows for {len(self.drug)} drugs; give one a condition")

    def __len__(self) -> int:
        return len(self.drug)

    def take(self, rows: np.ndarray) -> ReactomeConditions:
        """Some of the conditions, in the order asked for."""
        features = None if self.features is None else self.features[rows]
        return ReactomeConditions(self.drug[rows], self.organ[rows], self.design[rows], features)

    @property
    def known_structure(self) -> np.ndarray:
        """Whether the drug of a condition has features, n."""
        return np.zeros(len(self), dtype=bool) if self.features is None else np.any(self.features != 0, axis=1)


class BaseReactome(BaseEstimator, ABC):
    """Predicts the responses of all genes in drug × organ conditions; a scikit-learn estimator."""

    @abstractmethod
    def fit(self, conditions: ReactomeConditions, values: np.ndarray) -> Self:
        """Learn from measured conditions.

        Parameters
        ----------
        conditions
            n conditions; the same one may occur several times.
        values
            Their responses, n × genes, without gaps.
        """

    @abstractmethod
    def predict(self, conditions: ReactomeConditions) -> np.ndarray:
        """Predicted responses, conditions × genes, float32."""


def one_hot(codes: np.ndarray, names: np.ndarray) -> np.ndarray:
    """N × names, float32; a row of 0 for a code that is not among the (sorted) names."""
    return (codes[:, None] == names).astype(np.float32)


def drug_profiles(
    conditions: ReactomeConditions, residuals: np.ndarray, drugs: np.ndarray, organs: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean response of each drug in each organ, and which were measured.

    Parameters
    ----------
    conditions, residuals
        Measured conditions (n) and what they depart from, n × genes.
    drugs, organs
        Different codes to make profiles of.

    Returns
    -------
    profiles
        Organs × drugs × genes, float32, 0 where not measured.
    measured
        Organs × drugs, bool.
    """
    profiles = np.zeros((len(organs), len(drugs), residuals.shape[1]), dtype=np.float32)
    measured = np.zeros(profiles.shape[:2], dtype=bool)
    for position, organ in enumerate(organs):
        rows = np.flatnonzero(conditions.organ == organ)
        member = one_hot(conditions.drug[rows], drugs).T
        count = member.sum(axis=1)
        profiles[position] = member @ residuals[rows] / np.maximum(count, 1)[:, None]
        measured[position] = count > 0
    return profiles, measured


def similarity_elsewhere(profiles: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How alike two drugs are through the organs other than the one in question.

    The cosine of two drugs' profiles is summed over the other organs in which both were measured and divided by
    √(n₁ n₂), the organs other than this one in which each was measured: an inner product of joined unit profiles, so
    positive semi-definite. An organ's own responses never enter what is said about it.

    Returns
    -------
    similarity
        Organs × drugs × drugs, float32; 0 where nothing is shared.
    shared
        Number of other organs in which both were measured, organs × drugs × drugs.
    """
    norm = np.linalg.norm(profiles, axis=2, keepdims=True)
    cosine = np.zeros((*measured.shape, measured.shape[1]), dtype=np.float32)
    for organ, known in enumerate(measured):  # most drugs are measured in few organs
        rows = np.flatnonzero(known & (norm[organ, :, 0] > 0))
        unit = profiles[organ, rows] / norm[organ, rows]
        cosine[organ][np.ix_(rows, rows)] = unit @ unit.T
    both = (measured[:, :, None] & measured[:, None, :]).astype(np.float32)
    others = measured.sum(axis=0) - measured  # organs × drugs
    scale = np.sqrt(np.maximum(others, 1)).astype(np.float32)
    similarity = (cosine.sum(axis=0) - cosine) / (scale[:, :, None] * scale[:, None, :])
    return similarity, both.sum(axis=0) - both


def cell_means(conditions: ReactomeConditions, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average the conditions of each drug × organ cell.

    Returns
    -------
    first
        First condition of each cell, by drug and organ.
    count
        Conditions of each cell.
    means
        Cells × genes.
    """
    from scipy.sparse import csr_array

    pairs = np.column_stack([conditions.drug, conditions.organ])
    _, first, member, count = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
    member = member.ravel()
    share = (1 / count[member]).astype(values.dtype)
    average = csr_array((share, (member, np.arange(len(member)))), shape=(len(first), len(member)))
    return first, count, average @ values
