from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def match_ranks(scores: np.ndarray, partner: np.ndarray | None = None) -> NDArray[np.float64]:
    """Place of the true partner among all candidates, one rank a row.

    Parameters
    ----------
    scores
        Similarity of n items to m candidates, n × m; higher is more alike.
    partner
        Column of each row's true partner, n; ``None`` where it is that of the same number.

    Returns
    -------
    n ranks: 1 for the best; candidates of the partner's score share their places. NaN where the partner's score is NaN.

    Raises
    ------
    ValueError
        If ``scores`` is no matrix or ``partner`` is not one column a row.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(f"`scores` must be a matrix of items × candidates; found {scores.ndim} dimensions.")
    columns = np.arange(len(scores)) if partner is None else np.asarray(partner)
    if columns.shape != (len(scores),) or (len(columns) and (columns.min() < 0 or columns.max() >= scores.shape[1])):
        raise ValueError(
            f"`partner` must hold one of {scores.shape[1]} columns for each of {len(scores)} rows; "
            f"found {columns.size} of them."
        )
    own = scores[np.arange(len(scores)), columns][:, None]
    ranks = 1 + (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return np.where(np.isnan(own[:, 0]), np.nan, ranks)


def recall_at_k(ranks: np.ndarray, k: int) -> float:
    """Share of items whose true partner is among the first ``k`` candidates.

    Parameters
    ----------
    ranks
        From :func:`match_ranks`; NaN (no answer) counts as a miss.
    k
        At least 1.

    Returns
    -------
    0 to 1; chance is ``k`` over the number of candidates. NaN without items.

    Raises
    ------
    ValueError
        If ``k`` is below 1.
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1; found {k}.")
    return float(np.mean(np.asarray(ranks) <= k)) if np.size(ranks) else float("nan")


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1 / rank; an item without an answer (NaN) counts 0.

    Parameters
    ----------
    ranks
        From :func:`match_ranks`.

    Returns
    -------
    0 to 1; NaN without items. Decided by the first places: rank 100 adds a hundredth of rank 1.
    """
    return float(np.mean(np.nan_to_num(1 / np.asarray(ranks, dtype=float)))) if np.size(ranks) else float("nan")


def foscttm(scores: np.ndarray) -> float:
    """Fraction of items closer than the true match, mean over both directions.

    Parameters
    ----------
    scores
        Similarity of n items to their n partners, n × n; the true matches are on the diagonal.

    Returns
    -------
    0 (every item is most similar to its partner) to 1; about 0.5 by chance, and for constant scores. NaN below two
    items.

    Raises
    ------
    ValueError
        If ``scores`` is not square.

    References
    ----------
    Singh et al. (2020), Unsupervised manifold alignment for single-cell multi-omics data, ACM-BCB.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"`scores` must be square, items × their partners; found shape {scores.shape}.")
    if len(scores) < 2:
        return float("nan")
    ranks = np.concatenate([match_ranks(scores), match_ranks(scores.T)])
    return float(np.mean((ranks - 1) / (len(scores) - 1)))
