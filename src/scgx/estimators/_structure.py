from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from scgx.estimators._anchor_transport import transported_cost
from scgx.estimators._assignment import quadratic_match
from scgx.estimators._profile_shape import own_cost, pair_cost, profile_shape

#: four-way tables of costs are held in memory: 50 profiles take 50 MB
MOST_PROFILES = 50
#: weight of all pairs against all profiles; settled, with the statistics, on pairs of mouse and human studies
_PAIR_WEIGHT = 2.0
#: weight of the carried-over profiles, likewise
_ANCHOR_WEIGHT = 4.0


class StructureMatch(NamedTuple):
    """Which reference profile each of n query profiles is."""

    assignment: np.ndarray
    """Reference row, n; each at most once."""
    probability: np.ndarray
    """n × m, rows sum to 1: how clear the assignment is. Not calibrated."""


def match_structure(
    query: np.ndarray, reference: np.ndarray, *, anchors: np.ndarray | None = None, seed: int = 0
) -> StructureMatch:
    """Match profiles of two studies without knowing which gene is which.

    Statistics of each profile and of each pair of profiles that do not depend on the names of genes
    (:func:`profile_shape`) are compared, and the one-to-one assignment of least total difference is sought
    (:func:`quadratic_match`):

    E(p) = Σ_i ‖s_i − s'_p(i)‖² + (2/n) Σ_ij ‖t_ij − t'_p(i)p(j)‖².

    With ``anchors`` genes are matched by their anchor profiles, and how well the other profiles agree after that is
    added (:func:`transported_cost`).

    Parameters
    ----------
    query, reference
        Log expression: n profiles × genes, and m × other genes, 2 ≤ n ≤ m ≤ 50. A profile is the mean of an organ,
        cell type or cluster. Zeros stand for genes not expressed; a factor on all values changes nothing.
    anchors
        Reference row of each query row that is known, n; −1 elsewhere.
    seed
        Seed of the search.

    Returns
    -------
    The assignment, and softmax over reference profiles a of −ΔE_ia / (E/n), with ΔE_ia what E grows by when i
    exchanges its place for a.

    Raises
    ------
    ValueError
        If there are too few or too many profiles, or two anchors are the same reference profile.
    """
    n, m = len(query), len(reference)
    fixed = np.full(n, -1) if anchors is None else np.asarray(anchors)
    _check(n, m, fixed[fixed >= 0])
    shapes = profile_shape(query), profile_shape(reference)
    own, pair = own_cost(*shapes), pair_cost(*shapes) * (_PAIR_WEIGHT / n)
    if (fixed >= 0).any() and (fixed < 0).any():
        own = own + _ANCHOR_WEIGHT * transported_cost(query, reference, fixed)
    assignment, increase = quadratic_match(own, pair, fixed=fixed, seed=seed)
    rows = np.arange(n)
    energy = own[rows, assignment].sum() + pair[rows[:, None], assignment[:, None], rows, assignment].sum()
    return StructureMatch(assignment, softmax(-increase * n / max(float(energy), 1e-12), axis=1))


def _check(n: int, m: int, anchors: np.ndarray) -> None:
    if n < 2 or n > m or m > MOST_PROFILES:
        raise ValueError(
            f"structure matches n query profiles to m reference profiles one to one, 2 ≤ n ≤ m ≤ {MOST_PROFILES}; found "
            f"n = {n} and m = {m}: average the rows of each organ or cluster first (`scanpy.get.aggregate`), and leave out "
            "query profiles that the reference lacks"
        )
    if len(set(anchors.tolist())) < len(anchors):
        raise ValueError("`anchors` gives two query rows the same reference profile; average them into one row")
