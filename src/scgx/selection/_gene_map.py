from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scgx.estimators import GeneMapper, GeneScores, top_genes
from scgx.metrics import foscttm, match_ranks, mean_reciprocal_rank, recall_at_k

_N_FOLDS = 5
#: partners between whom the fraction closer than the true match is taken; it is a mean and needs no more
_FOSCTTM_GENES = 1000
_NULL_GENES = 1000


@dataclass(frozen=True)
class MapScores:
    """How a method finds known partners that it has not learned from."""

    ranks: NDArray[np.float64]
    """Place of the partner of each anchor asked for among all reference genes."""
    foscttm: float

    def summary(self) -> dict[str, float]:
        """Recall at 1, 10 and 100, mean reciprocal rank, FOSCTTM."""
        recall = {f"recall_at_{k}": recall_at_k(self.ranks, k) for k in (1, 10, 100)}
        return recall | {"mean_reciprocal_rank": mean_reciprocal_rank(self.ranks), "foscttm": self.foscttm}


def score_gene_map(
    make: Callable[[], GeneMapper],
    query: np.ndarray,
    reference: np.ndarray,
    anchors: np.ndarray,
    *,
    n_scored: int = 3000,
    seed: int = 0,
) -> MapScores:
    """Find anchors with a mapper that has not seen them.

    Parameters
    ----------
    make
        Gives an unfitted mapper.
    query, reference
        Profiles, genes × columns.
    anchors
        Known partners, n × 2. A supervised mapper learns from four fifths of them and is asked for the rest, five
        times; any other is asked for all.
    n_scored
        Anchors to ask for, drawn at random where there are more: recall is a mean, known to 1 % from 3,000. The
        candidates are all reference genes.
    seed
        Of the folds and of the anchors asked for.

    Returns
    -------
    Ranks of the anchors asked for; NaN where the query gene tells nothing or its partner is not measured.
    """
    rng = np.random.default_rng(seed)
    first = make().fit(query, reference, anchors)
    n_folds = _N_FOLDS if first.supervised else 1
    fold = rng.permutation(len(anchors)) % n_folds
    ranks, closer = [], []
    for i in range(n_folds):
        mapper = make().fit(query, reference, anchors[fold != i]) if first.supervised else first
        scores = mapper.scores(query, reference)
        asked = np.flatnonzero(fold == i)
        asked = anchors[np.sort(rng.choice(asked, min(len(asked), n_scored // n_folds), replace=False))]
        some = asked[rng.choice(len(asked), min(len(asked), _FOSCTTM_GENES), replace=False)]
        ranks += [_ranks(block, pairs[:, 1]) for pairs, block in _paired_blocks(scores, asked)]
        square = np.vstack([block[:, some[:, 1]] for _, block in _paired_blocks(scores, some)])
        told = np.isfinite(square.diagonal())
        closer.append(foscttm(square[told][:, told]))
    average = float(np.nanmean(closer)) if np.isfinite(closer).any() else float("nan")
    return MapScores(np.concatenate(ranks), average)


def best_of_permuted(
    mapper: GeneMapper, query: np.ndarray, reference: np.ndarray, *, n_permutations: int, seed: int = 0
) -> NDArray[np.float32]:
    """Best scores that query genes reach when the conditions of the reference are shuffled, for all genes alike.

    Parameters
    ----------
    mapper
        Fitted on the profiles as they are.
    query, reference
        Profiles, genes × columns.
    n_permutations
        At least 1.
    seed
        Of the shuffles, and of the 1,000 query genes where there are more.
    """
    rng = np.random.default_rng(seed)
    genes = np.flatnonzero(np.isfinite(query).any(axis=1))
    best = []
    for _ in tqdm(range(n_permutations), desc="shuffling conditions", leave=False, delay=2):
        some = rng.choice(genes, min(len(genes), _NULL_GENES), replace=False)
        shuffled = reference[:, rng.permutation(reference.shape[1])]
        best.append(top_genes(mapper.scores(query, shuffled), 1, some).scores[:, 0])
    values = np.concatenate(best)
    return values[np.isfinite(values)]


def false_discovery(best: np.ndarray, null: np.ndarray) -> NDArray[np.float64]:
    """Q values of best scores, given those of a null.

    Parameters
    ----------
    best
        Best score of each gene; a gene without one is not finite.
    null
        Best scores under the null, any number of them.

    Returns
    -------
    For each gene the smallest expected share of null scores among the scores at least as good; NaN without a score.

    References
    ----------
    Storey & Tibshirani (2003), PNAS 100:9440, with all genes taken as null (π₀ = 1).
    """
    q = np.full(len(best), np.nan)
    told = np.flatnonzero(np.isfinite(best))
    if not len(told) or not len(null):
        return q
    order = told[np.argsort(-best[told], kind="stable")]
    found = np.searchsorted(-best[order], -best[order], side="right")
    false = (len(null) - np.searchsorted(np.sort(null), best[order], side="left") + 1) / (len(null) + 1)
    rate = np.minimum(false * len(order) / found, 1)
    q[order] = np.minimum.accumulate(rate[::-1])[::-1]
    return q


def _paired_blocks(scores: GeneScores, pairs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs, and the scores of their query genes."""
    start = 0
    for rows, block in scores.blocks(pairs[:, 0]):
        yield pairs[start : start + len(rows)], block
        start += len(rows)


def _ranks(block: np.ndarray, partner: np.ndarray) -> NDArray[np.float64]:
    own = block[np.arange(len(block)), partner]
    return np.where(np.isfinite(own), match_ranks(block, partner), np.nan)
