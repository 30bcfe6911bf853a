"""Choice of experiments against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from scgx.selection import choose_experiments


@pytest.fixture
def covariance() -> np.ndarray:
    A = np.random.default_rng(0).normal(size=(12, 6))
    return A @ A.T + 0.1 * np.eye(12)


CANDIDATES, TARGETS, NOISE = np.arange(7), np.arange(5, 12), 0.4


def remaining(C: np.ndarray, chosen: list[int]) -> float:
    """Mean variance of the targets given noisy measurements, all at once."""
    across = C[np.ix_(TARGETS, chosen)]
    K = C[np.ix_(chosen, chosen)] + NOISE * np.eye(len(chosen))
    return float(np.diag(C[np.ix_(TARGETS, TARGETS)] - across @ np.linalg.solve(K, across.T)).mean())


@pytest.mark.parametrize("strategy", ["a_optimal", "d_optimal", "uncertainty", "random"])
def test_remaining_variance_equals_conditioning_at_once(covariance: np.ndarray, strategy: str) -> None:
    choice = choose_experiments(covariance, CANDIDATES, TARGETS, NOISE, n=4, strategy=strategy)
    chosen = CANDIDATES[choice.chosen].tolist()
    expected = [remaining(covariance, chosen[: k + 1]) for k in range(4)]
    np.testing.assert_allclose(choice.remaining, expected, rtol=1e-9)
    assert len(set(chosen)) == 4


def test_a_optimal_takes_the_best_candidate_at_each_step(covariance: np.ndarray) -> None:
    choice = choose_experiments(covariance, CANDIDATES, TARGETS, NOISE, n=3, strategy="a_optimal")
    taken: list[int] = []
    for position in choice.chosen:
        left = [j for j in CANDIDATES.tolist() if j not in taken]
        best = min(left, key=lambda j: remaining(covariance, [*taken, j]))
        assert CANDIDATES[position] == best
        taken.append(best)


def test_d_optimal_takes_the_most_information_at_each_step(covariance: np.ndarray) -> None:
    choice = choose_experiments(covariance, CANDIDATES, TARGETS, NOISE, n=3, strategy="d_optimal")

    def information(chosen: list[int]) -> float:
        return float(np.linalg.slogdet(np.eye(len(chosen)) + covariance[np.ix_(chosen, chosen)] / NOISE)[1])

    taken: list[int] = []
    for position in choice.chosen:
        left = [j for j in CANDIDATES.tolist() if j not in taken]
        assert CANDIDATES[position] == max(left, key=lambda j: information([*taken, j]))
        taken.append(int(CANDIDATES[position]))


def test_diversity_takes_the_farthest_point() -> None:
    points = np.array([0.0, 1.0, 9.0, 10.0, 4.0])  # the first is known
    prior = np.exp(-np.abs(points[:, None] - points) / 5)
    choice = choose_experiments(
        prior[1:, 1:], np.arange(4), np.arange(4), NOISE, n=2, strategy="diversity", prior=prior, n_known=1
    )
    assert choice.chosen.tolist() == [2, 3]
