"""What can be said of profiles (organs, clusters) without knowing which gene is which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgx._core.similarity import unit_rows

_LEVELS = np.linspace(0.01, 0.99, 50)
#: by how many standard deviations (of all x_ig − x̄_g) a gene may exceed all other profiles
_STEPS = (1.0, 2.0, 4.0)
_FEWEST_GENES = 10


@dataclass(frozen=True)
class ProfileShape:
    """Statistics of n profiles that do not change when genes are renamed or reordered."""

    own: tuple[np.ndarray, ...]
    """Of each profile, n × f each."""
    pair: tuple[np.ndarray, ...]
    """Of each pair of profiles, n × n × f each."""


def profile_shape(X: np.ndarray) -> ProfileShape:
    """Describe profiles by statistics over genes.

    Parameters
    ----------
    X
        Log expression, n profiles × genes, in any order; genes that do not vary are left out.

    Returns
    -------
    ``own``: quantiles of x_ig − x̄_g over genes g (how far, and how asymmetrically, the profile departs from the mean
    profile); square roots of the shares of genes that exceed every other profile by 1, 2 and 4 (testis and brain have
    many such genes, spleen few). ``pair``: correlation of the centred normal scores; quantiles of the difference of
    normal scores, r_ig − r_jg.

    Raises
    ------
    ValueError
        If fewer than 10 genes vary.
    """
    X = np.asarray(X, dtype=np.float64)
    X = X[:, np.ptp(X, axis=0) > 0]
    if X.shape[1] < _FEWEST_GENES:
        raise ValueError(f"{X.shape[1]} genes vary over the profiles, at least {_FEWEST_GENES} are needed")
    centred = X - X.mean(axis=0)
    ordered = np.sort(X, axis=0)
    lead = np.where(ordered[-1] == X, ordered[-1] - ordered[-2], 0) / centred.std()
    specific = np.sqrt(np.stack([(lead > step).mean(axis=1) for step in _STEPS], axis=1))
    scores = normal_scores(X)
    own = (np.quantile(centred, _LEVELS, axis=1).T, specific)
    return ProfileShape(own=own, pair=(_correlation(scores)[:, :, None], _difference_quantiles(scores)))


def normal_scores(X: np.ndarray) -> np.ndarray:
    """Each row by rank, as quantiles of the normal distribution; ties share their mean rank."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return ndtri((rankdata(X, axis=1) - 0.5) / X.shape[1])


def own_cost(query: ProfileShape, reference: ProfileShape) -> np.ndarray:
    """Squared distance of the ``own`` statistics, query × reference; each set has mean square 1 on both sides."""
    parts = []
    for a, b in zip(query.own, reference.own, strict=True):
        a, b = _unit(a - a.mean(axis=0)), _unit(b - b.mean(axis=0))
        parts.append(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    return np.mean(parts, axis=0)


def pair_cost(query: ProfileShape, reference: ProfileShape) -> np.ndarray:
    """Squared distance of the ``pair`` statistics (i, j) of the query and (a, b) of the reference, at [i, a, j, b]."""
    n, m = len(query.own[0]), len(reference.own[0])
    total = np.zeros((n * n, m * m))
    for a, b in zip(query.pair, reference.pair, strict=True):
        a, b = _centred_pairs(a), _centred_pairs(b)
        total += (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return total.reshape(n, n, m, m).transpose(0, 2, 1, 3) / len(query.pair)


def _correlation(scores: np.ndarray) -> np.ndarray:
    unit = unit_rows(scores - scores.mean(axis=0))
    return unit @ unit.T


def _difference_quantiles(scores: np.ndarray) -> np.ndarray:
    n = len(scores)
    quantiles = np.zeros((n, n, len(_LEVELS)))
    for i in range(n):
        for j in range(i):
            quantiles[i, j] = np.quantile(scores[i] - scores[j], _LEVELS)
            quantiles[j, i] = -quantiles[i, j, ::-1]
    return quantiles


def _unit(values: np.ndarray) -> np.ndarray:
    size = np.sqrt((values**2).sum() / len(values))
    return values / size if size > 0 else values


def _centred_pairs(values: np.ndarray) -> np.ndarray:
    """Pairs × f, less the mean over pairs of two, of mean square 1 a pair; a profile with itself is 0."""
    n = len(values)
    two = ~np.eye(n, dtype=bool)
    centred = np.where(two[:, :, None], values - values[two].mean(axis=0), 0)
    size = np.sqrt((centred[two] ** 2).sum(axis=-1).mean())
    return (centred / size if size > 0 else centred).reshape(n * n, -1)
