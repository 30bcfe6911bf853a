from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

#: query genes whose scores against all reference genes are held at a time
BLOCK = 512


class GeneScores(ABC):
    """Scores of all query genes against all reference genes, made block by block."""

    shape: tuple[int, int]
    """Numbers of query and reference genes."""

    @abstractmethod
    def block(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Scores of some query genes, rows × reference genes; −inf where a gene tells nothing."""

    def blocks(self, rows: NDArray[np.intp] | None = None) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Walk over query genes (all by default), :data:`BLOCK` at a time."""
        rows = np.arange(self.shape[0]) if rows is None else rows
        for start in range(0, len(rows), BLOCK):
            yield rows[start : start + BLOCK], self.block(rows[start : start + BLOCK])


class GeneMapper(ABC):
    """Compares genes by their profiles (genes × conditions, or × embedding dimensions)."""

    supervised: bool = False
    """Whether :meth:`fit` learns from anchors: then its recall has to be cross-validated."""
    scale: float | None = None
    """Score difference that makes a gene e times as likely; ``None``: the spread of scores of unrelated genes."""

    def fit(self, query: np.ndarray, reference: np.ndarray, anchors: np.ndarray | None = None) -> Self:
        """Learn what the comparison needs.

        Parameters
        ----------
        query, reference
            Profiles, genes × columns, NaN where not measured.
        anchors
            Known partners, n × 2: rows of ``query`` and of ``reference``.
        """
        return self

    @abstractmethod
    def scores(self, query: np.ndarray, reference: np.ndarray) -> GeneScores:
        """Scores of all pairs of genes; takes other profiles of the same columns than those of :meth:`fit`."""


@dataclass(frozen=True)
class DotScores(GeneScores):
    """Inner products of features, and what each gene adds by itself."""

    query: NDArray[np.float32]
    reference: NDArray[np.float32]
    query_bias: NDArray[np.float32]
    reference_bias: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """Numbers of query and reference genes."""
        return len(self.query), len(self.reference)

    def block(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """See :meth:`GeneScores.block`."""
        return self.query[rows] @ self.reference.T + self.query_bias[rows, None] + self.reference_bias


class CosineSimilarity(GeneMapper):
    """Cosine of two embeddings of the same dimensions; a gene without an embedding is NaN."""

    def scores(self, query: np.ndarray, reference: np.ndarray) -> DotScores:
        """See :meth:`GeneMapper.scores`."""
        (a, in_query), (b, in_reference) = _unit(query), _unit(reference)
        return DotScores(a, b, silent(in_query), silent(in_reference))


def silent(known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What takes genes that tell nothing out of every comparison: −inf."""
    return np.where(known, 0, -np.inf).astype(np.float32)


def _unit(embedding: np.ndarray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    known = np.isfinite(length[:, 0]) & (length[:, 0] > 0)
    unit = np.where(known[:, None], embedding / np.where(length > 0, length, 1), 0)
    return unit.astype(np.float32), known
