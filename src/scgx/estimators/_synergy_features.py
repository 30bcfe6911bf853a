"""What a table learner sees of a pair in a line; every feature is the same for either order of the drugs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self
from zlib import crc32

import numpy as np

from scgx._core.drug_pairs import DrugPairs

_N_RANDOM = 32


class PairFeatures(ABC):
    """Features of pairs, fitted on the drugs and lines of training pairs."""

    @abstractmethod
    def fit(self, pairs: DrugPairs) -> Self:
        """Learn what to compute; ``pairs`` has no drugs and lines beside those that are used."""

    @abstractmethod
    def transform(self, pairs: DrugPairs) -> np.ndarray:
        """Rows of ``pairs`` × features."""


class Identity(PairFeatures):
    """One column a training drug (how many of the two are it) and one a training line: no chemistry, no expression."""

    def fit(self, pairs: DrugPairs) -> Self:
        """See :meth:`PairFeatures.fit`."""
        self.smiles_, self.lines_ = pairs.smiles, pairs.lines
        return self

    def transform(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`PairFeatures.transform`. A new drug or line is nowhere 1."""
        drug = (pairs.smiles[:, None] == self.smiles_).astype(np.float32)
        line = (pairs.lines[:, None] == self.lines_).astype(np.float32)
        return np.hstack([drug[pairs.a] + drug[pairs.b], line[pairs.line]])


class Chemistry(PairFeatures):
    """How many of the two drugs have each fingerprint bit, and expression components of the line.

    Bits that no or every training drug has, and repeats of another, are left out.

    Parameters
    ----------
    n_bits
        Bits at most; those that divide the training drugs best.
    n_line
        Principal components of the standardised expression, at most.
    """

    def __init__(self, n_bits: int = 512, n_line: int = 16) -> None:
        self.n_bits = n_bits
        self.n_line = n_line

    def fit(self, pairs: DrugPairs) -> Self:
        """See :meth:`PairFeatures.fit`."""
        self.bits_ = dividing_bits(pairs.fingerprint, self.n_bits)
        self.line_ = Components(self.n_line).fit(pairs.expression)
        return self

    def transform(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`PairFeatures.transform`."""
        bits, line = pairs.fingerprint[:, self.bits_], self.line_.transform(pairs.expression)
        return np.hstack([bits[pairs.a] + bits[pairs.b], line[pairs.line]]).astype(np.float32)


class RandomVectors(PairFeatures):
    """The control of :class:`Chemistry`: each drug and each line has a random vector in place of what is known of it."""

    def fit(self, pairs: DrugPairs) -> Self:
        """See :meth:`PairFeatures.fit`."""
        return self

    def transform(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`PairFeatures.transform`."""
        drug, line = _random(pairs.smiles), _random(pairs.lines)
        return np.hstack([drug[pairs.a] + drug[pairs.b], line[pairs.line]]).astype(np.float32)


class Components:
    """Principal components of standardised columns; constant ones are dropped."""

    def __init__(self, n: int) -> None:
        self.n = n

    def fit(self, X: np.ndarray) -> Self:
        """Fit on rows × columns."""
        self.mean_, self.spread_ = standard(X)
        _, size, axes = np.linalg.svd((X - self.mean_) / self.spread_, full_matrices=False)
        # what is left after the rank is rounding, and its axes are arbitrary
        self.axes_ = axes[: self.n][size[: self.n] > 1e-4 * max(size[0], 1e-12)]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Rows × components."""
        return ((X - self.mean_) / self.spread_) @ self.axes_.T


def dividing_bits(fingerprint: np.ndarray, n: int) -> np.ndarray:
    """Columns that tell drugs apart, each once, the ``n`` of largest variance."""
    _, first = np.unique(fingerprint, axis=1, return_index=True)
    spread = fingerprint[:, first].std(axis=0)
    order = np.argsort(-spread, kind="stable")[:n]
    return np.sort(first[order[spread[order] > 0]])


def standard(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns; that of a constant one is infinite, so that it becomes 0."""
    spread = X.std(axis=0)
    return X.mean(axis=0), np.where(spread > 1e-6, spread, np.inf).astype(X.dtype)


def _random(names: np.ndarray) -> np.ndarray:
    """A vector a name, always the same one."""
    return np.stack([np.random.default_rng(crc32(str(name).encode())).normal(size=_N_RANDOM) for name in names])
