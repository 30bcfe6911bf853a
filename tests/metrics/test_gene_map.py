from __future__ import annotations

import numpy as np
import pytest

from scgx.metrics import foscttm, match_ranks, mean_reciprocal_rank, recall_at_k


def test_ranks_agree_with_sorting() -> None:
    rng = np.random.default_rng(0)
    scores, partner = rng.normal(size=(30, 50)), rng.integers(50, size=30)
    expected = [1 + list(np.argsort(-row)).index(column) for row, column in zip(scores, partner, strict=True)]
    np.testing.assert_array_equal(match_ranks(scores, partner), expected)


def test_equal_scores_share_their_places() -> None:
    assert match_ranks(np.zeros((1, 5)))[0] == 3
    assert match_ranks(np.array([[1.0, 1.0, 0.0]]))[0] == 1.5


def test_recall_and_reciprocal_rank_by_hand_with_silence_as_a_miss() -> None:
    ranks = np.array([1, 2, 10, np.nan])
    assert recall_at_k(ranks, 1) == 0.25
    assert recall_at_k(ranks, 10) == 0.75
    assert mean_reciprocal_rank(ranks) == pytest.approx((1 + 0.5 + 0.1) / 4)


def test_foscttm_agrees_with_a_loop_over_distances() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 3))
    y = x + rng.normal(size=x.shape)
    distance = np.linalg.norm(x[:, None] - y, axis=2)
    fractions = [
        np.mean([side[i, j] < side[i, i] for j in range(20) if j != i])
        for side in (distance, distance.T)
        for i in range(20)
    ]
    assert foscttm(-distance) == pytest.approx(np.mean(fractions))


@pytest.mark.parametrize(("scores", "expected"), [(np.eye(4), 0.0), (-np.eye(4), 1.0), (np.zeros((4, 4)), 0.5)])
def test_foscttm_at_its_ends_and_at_chance(scores: np.ndarray, expected: float) -> None:
    assert foscttm(scores) == expected


def test_improper_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="`k` must be at least 1; found 0"):
        recall_at_k(np.ones(3), 0)
    with pytest.raises(ValueError, match="`scores` must be square"):
        foscttm(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="`partner` must hold one of 4 columns"):
        match_ranks(np.zeros((3, 4)), np.array([0, 1, 4]))
