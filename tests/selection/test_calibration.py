"""The relative scale of a new study's genes; shifts and offsets are tested through the translator."""

from __future__ import annotations

import numpy as np
import pytest

from scgx.selection import study_scale


def new_study(n_groups: int, seed: int = 0, n_genes: int = 200) -> np.ndarray:
    """Four rows a group, unit variance in the training study."""
    rng = np.random.default_rng(seed)
    group = np.repeat(rng.normal(size=(n_groups, n_genes)), 4, axis=0)
    return np.sqrt(0.5) * (group + rng.normal(size=group.shape))


def groups_of(X: np.ndarray) -> np.ndarray:
    return np.arange(len(X)) // 4


def test_known_factors_are_found() -> None:
    X = new_study(40)
    truth = np.exp(0.5 * np.random.default_rng(1).normal(size=200))
    relative, common = study_scale(0.4 * truth * X, np.ones(200), groups_of(X), n_training=1000)
    assert common == pytest.approx(0.4, rel=0.1)
    assert np.corrcoef(np.log(relative), np.log(truth))[0, 1] > 0.95
    assert np.log(relative).std() == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("n_groups", [5, 10, 40])
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_scale(n_groups: int, seed: int) -> None:
    """Observed ratios differ by chance, by a third for five groups; none of it is taken for real."""
    X = new_study(n_groups, seed)
    relative, common = study_scale(X, np.ones(200), groups_of(X), n_training=1000)
    np.testing.assert_array_equal(relative, 1)
    assert common == pytest.approx(1, abs=0.25)


def test_dependent_rows_are_not_taken_for_evidence() -> None:
    """Rows of six compounds that repeat each other tell no more than six."""
    X = np.repeat(np.random.default_rng(0).normal(size=(6, 200)), 30, axis=0)
    X += 0.01 * np.random.default_rng(1).normal(size=X.shape)
    relative, _ = study_scale(X, np.ones(200), np.arange(180) // 30, n_training=1000)
    fooled, _ = study_scale(X, np.ones(200), n_training=1000)
    assert np.log(relative).std() < 0.5 * np.log(fooled).std()


def test_a_small_training_study_is_doubted() -> None:
    rng = np.random.default_rng(0)
    deviation = rng.normal(size=(12, 200)).std(axis=0, ddof=1)
    X = rng.normal(size=(400, 200))
    certain, _ = study_scale(X, deviation, n_training=10**6)
    doubted, _ = study_scale(X, deviation, n_training=12)
    assert np.log(certain).std() > 0.15
    np.testing.assert_array_equal(doubted, 1)


def test_gaps_constant_genes_and_few_groups_are_left_as_they_are() -> None:
    X = new_study(20) * np.exp(0.6 * np.random.default_rng(1).normal(size=200))
    X[:, 0], X[:, 1], X[1:, 2] = 3.0, np.nan, np.nan
    deviation = np.ones(200)
    deviation[3] = 0
    relative, common = study_scale(X, deviation, groups_of(X), n_training=500)
    np.testing.assert_array_equal(relative[:4], 1)
    assert np.isfinite(relative).all()
    assert np.log(relative[4:]).std() > 0.4
    few = study_scale(X[:16], deviation, groups_of(X)[:16], n_training=500)
    assert few[1] == 1
    np.testing.assert_array_equal(few[0], 1)
