"""Which conditions to measure next, from a posterior covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Strategy = Literal["a_optimal", "d_optimal", "uncertainty", "diversity", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True)
class ExperimentChoice:
    """Chosen candidates, best first.

    Attributes
    ----------
    chosen
        Positions among the candidates.
    remaining
        Mean posterior variance of the targets after each choice, in the order of ``chosen``.
    start
        The same before any.
    """

    chosen: np.ndarray
    remaining: np.ndarray
    start: float


def choose_experiments(
    covariance: np.ndarray,
    candidates: np.ndarray,
    targets: np.ndarray,
    noise: float,
    *,
    n: int,
    strategy: Strategy = "a_optimal",
    prior: np.ndarray | None = None,
    n_known: int = 0,
    seed: int = 0,
) -> ExperimentChoice:
    r"""Choose candidates one after the other, each with those chosen before it taken as measured.

    With posterior covariance C and noise σ², measuring candidate j takes :math:`c_{tj}^2 / (c_{jj} + \sigma^2)` off the
    variance at t. ``"a_optimal"`` takes the j that takes most off the sum over targets; ``"d_optimal"`` the largest
    :math:`\log(1 + c_{jj} / \sigma^2)`, the gain in information about the candidates; ``"uncertainty"`` the largest
    :math:`c_{jj}` as they are before any choice; ``"diversity"`` the one farthest from what is known or chosen, in the
    distance of the prior kernel (k-center); ``"random"`` any.

    Parameters
    ----------
    covariance
        Posterior covariance of all conditions in question, m × m.
    candidates, targets
        Positions in ``covariance``; they may overlap.
    noise
        Variance of one measurement around the truth.
    n
        How many to choose.
    strategy
        See above.
    prior
        With ``"diversity"``: prior covariance of the known conditions followed by the m in question.
    n_known
        Number of known conditions in ``prior``.
    seed
        Draws for ``"random"``.

    References
    ----------
    Chaloner and Verdinelli (1995), Bayesian experimental design: a review, Statistical Science 10:273; Krause et al.
    (2008), Near-optimal sensor placements in Gaussian processes, JMLR 9:235; Sener and Savarese (2018), Active learning
    for convolutional neural networks: a core-set approach (k-center).
    """
    if strategy == "random":
        order = np.random.default_rng(seed).permutation(len(candidates))[:n]
    elif strategy == "uncertainty":
        order = np.argsort(-np.diag(covariance)[candidates], kind="stable")[:n]
    elif strategy == "diversity":
        if prior is None:
            raise ValueError("strategy 'diversity' needs `prior`")
        order = _k_center(prior, n_known, candidates, n)
    else:
        return _greedy(covariance, candidates, targets, noise, n, strategy)
    return _follow(covariance, candidates, targets, noise, order)


def _greedy(
    covariance: np.ndarray, candidates: np.ndarray, targets: np.ndarray, noise: float, n: int, strategy: Strategy
) -> ExperimentChoice:
    C = covariance.astype(float)
    start = float(C[targets, targets].mean())
    left, chosen, remaining = np.ones(len(candidates), dtype=bool), [], []
    for _ in range(n):
        variance = C[candidates, candidates]
        if strategy == "a_optimal":
            gain = np.square(C[np.ix_(targets, candidates)]).sum(axis=0) / (variance + noise)
        else:
            gain = variance
        best = int(np.where(left, gain, -np.inf).argmax())
        left[best] = False
        C = _measured(C, candidates[best], noise)
        chosen.append(best)
        remaining.append(float(C[targets, targets].mean()))
    return ExperimentChoice(np.array(chosen, dtype=np.intp), np.array(remaining), start)


def _follow(
    covariance: np.ndarray, candidates: np.ndarray, targets: np.ndarray, noise: float, order: np.ndarray
) -> ExperimentChoice:
    C = covariance.astype(float)
    start, remaining = float(C[targets, targets].mean()), []
    for position in order:
        C = _measured(C, candidates[position], noise)
        remaining.append(float(C[targets, targets].mean()))
    return ExperimentChoice(np.asarray(order, dtype=np.intp), np.array(remaining), start)


def _measured(C: np.ndarray, j: int, noise: float) -> np.ndarray:
    """Covariance once condition ``j`` is measured."""
    return C - np.outer(C[:, j], C[j]) / (C[j, j] + noise)


def _k_center(prior: np.ndarray, n_known: int, candidates: np.ndarray, n: int) -> np.ndarray:
    variance = np.diag(prior)

    def distance(points: np.ndarray) -> np.ndarray:
        """Squared distance of each candidate to each point."""
        rows = n_known + candidates
        return variance[rows][:, None] + variance[points] - 2 * prior[np.ix_(rows, points)]

    nearest = distance(np.arange(n_known)).min(axis=1, initial=np.inf)
    chosen: list[int] = []
    for _ in range(n):
        best = int(nearest.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, distance(np.array([n_known + candidates[best]]))[:, 0])
        nearest[best] = -np.inf
    return np.array(chosen, dtype=np.intp)
