from __future__ import annotations

import numpy as np

from scgx.estimators import AnchoredCCA, ProfileSimilarity, top_genes
from scgx.selection import best_of_permuted, false_discovery, score_gene_map


def test_q_values_by_hand() -> None:
    best, null = np.array([5.0, 3.0, 1.0, -np.inf]), np.array([4.0, 2.0, 0.0])
    # at 5 no null (counted as 1 of 4), at 3 one more, at 1 two more; times 3 genes over those found
    np.testing.assert_allclose(false_discovery(best, null), [0.75, 0.75, 0.75, np.nan])


def test_unrelated_genes_are_called_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(0)
    called = []
    for seed in range(10):
        x, y = rng.normal(size=(300, 12)), rng.normal(size=(300, 12))
        mapper = ProfileSimilarity()
        best = top_genes(mapper.scores(x, y), 1).scores[:, 0]
        null = best_of_permuted(mapper, x, y, n_permutations=5, seed=seed)
        called.append((false_discovery(best, null) <= 0.1).any())
        p = np.searchsorted(np.sort(null), best) / len(null)
        assert abs(np.mean(p > 0.9) - 0.1) < 0.06
    assert np.mean(called) <= 0.4


def test_partners_are_called_and_unrelated_genes_among_them_are_not() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 40))
    y = np.where(np.arange(200)[:, None] < 100, x + 0.3 * rng.normal(size=x.shape), rng.normal(size=x.shape))
    top = top_genes(ProfileSimilarity().scores(x, y), 1)
    q = false_discovery(top.scores[:, 0], best_of_permuted(ProfileSimilarity(), x, y, n_permutations=10))
    called = q <= 0.05
    assert called[:100].mean() > 0.95
    assert np.mean(top.genes[called, 0] != np.flatnonzero(called)) <= 0.1


def test_recall_of_a_method_that_learns_is_at_chance_on_unrelated_genes() -> None:
    """In sample it would be far above: 120 features for 150 anchors."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(150, 60)), rng.normal(size=(150, 60))
    pairs = np.column_stack([np.arange(150)] * 2)
    held_out = score_gene_map(AnchoredCCA, x, y, pairs)
    assert np.mean(held_out.ranks <= 10) < 0.15
    assert abs(held_out.foscttm - 0.5) < 0.1


def test_scores_are_those_of_all_anchors_for_a_method_that_does_not_learn() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 10))
    y = x + 0.5 * rng.normal(size=x.shape)
    order = rng.permutation(80)
    scores = score_gene_map(ProfileSimilarity, x, y[order], np.column_stack([order, np.arange(80)]))
    expected = top_genes(ProfileSimilarity().scores(x, y[order]), 10)
    assert len(scores.ranks) == 80
    hits = [order[genes].tolist().count(i) for i, genes in enumerate(expected.genes)]
    assert scores.summary()["recall_at_10"] == np.mean(hits)
