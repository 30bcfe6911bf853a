from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scgx.estimators._gene_scores import GeneScores

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class TopGenes:
    """The best reference genes of each query gene, best first."""

    genes: NDArray[np.intp]
    """Query genes × k."""
    scores: NDArray[np.float32]
    """Query genes × k; −inf where there is no such gene."""


def top_genes(scores: GeneScores, k: int, rows: NDArray[np.intp] | None = None) -> TopGenes:
    """Keep the ``k`` best reference genes of each query gene.

    Parameters
    ----------
    scores
        Of which a block is held at a time.
    k
        At least 1; no more than there are reference genes are kept.
    rows
        Query genes; all by default.
    """
    k = min(k, scores.shape[1])
    genes, values = [], []
    for _, block in scores.blocks(rows):
        best = np.argpartition(-block, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(block, best, axis=1)
        order = np.argsort(-value, axis=1, kind="stable")
        genes.append(np.take_along_axis(best, order, axis=1))
        values.append(np.take_along_axis(value, order, axis=1))
    if not genes:
        return TopGenes(np.empty((0, k), dtype=np.intp), np.empty((0, k), dtype=np.float32))
    return TopGenes(np.vstack(genes), np.vstack(values))


def map_weights(top: TopGenes, n_reference: int, scale: float) -> csr_matrix:
    """Softmax of the best scores as a sparse map.

    Parameters
    ----------
    top
        Best reference genes.
    n_reference
        Number of reference genes.
    scale
        Score difference that makes a gene e times as likely.

    Returns
    -------
    Query × reference genes, float32; a row sums to 1, or is empty where no score is finite.
    """
    from scipy.sparse import csr_matrix

    known = np.isfinite(top.scores)
    best = np.where(known[:, :1], top.scores[:, :1], 0)
    weights = np.where(known, np.exp((np.where(known, top.scores, 0) - best) / scale), 0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    row, column = np.nonzero(weights > 0)
    entries = weights[row, column].astype(np.float32), (row, top.genes[row, column])
    matrix = csr_matrix(entries, shape=(len(top.genes), n_reference))
    matrix.sort_indices()
    return matrix


def unrelated_spread(scores: GeneScores, *, seed: int = 0) -> float:
    """Standard deviation of the scores of genes taken at random.

    Parameters
    ----------
    scores
        Of which 200 query genes are looked at.
    seed
        Chooses them.

    Returns
    -------
    Above 0.
    """
    rows = np.random.default_rng(seed).permutation(scores.shape[0])[:200]
    values = np.concatenate([block[np.isfinite(block)] for _, block in scores.blocks(rows)])
    return max(float(values.std()), 1e-6) if len(values) else 1.0


def table_weights(query: np.ndarray, reference: np.ndarray, k: int, shape: tuple[int, int]) -> csr_matrix:
    """A table of pairs as a map: partners share a gene's weight equally, the first ``k`` of them are kept.

    Parameters
    ----------
    query, reference
        Positions, one entry a pair, in the order of the query.
    k
        Most partners a gene.
    shape
        Numbers of query and reference genes.
    """
    from scipy.sparse import csr_matrix

    first = np.searchsorted(query, query, side="left")
    kept = np.arange(len(query)) - first < k
    query, reference = query[kept], reference[kept]
    weights = (1 / np.bincount(query, minlength=shape[0])[query]).astype(np.float32)
    return csr_matrix((weights, (query, reference)), shape=shape)
