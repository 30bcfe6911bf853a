from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import (
    AnchoredCCA,
    CosineSimilarity,
    GeneMapper,
    GeneTransport,
    ProfileSimilarity,
    map_weights,
    table_weights,
    top_genes,
)
from scgx.estimators import _gene_scores as gene_scores
from scgx.estimators._gene_cca import likelihood_ratio


def profiles(n: int = 60, p: int = 8, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, p)) + rng.normal(size=(n, 1))
    return tuple((truth + noise * rng.normal(size=truth.shape)).astype(np.float32) for _ in range(2))


def matrix(mapper: GeneMapper, query: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.vstack([block for _, block in mapper.scores(query, reference).blocks()])


def anchors(n: int) -> np.ndarray:
    return np.column_stack([np.arange(n)] * 2)


@pytest.mark.parametrize("corrected", [False, True])
def test_similarity_agrees_with_a_loop_with_missing_values(corrected: bool) -> None:
    x, y = profiles(25, 7)
    rng = np.random.default_rng(3)
    x[rng.random(x.shape) < 0.2] = np.nan
    y[rng.random(y.shape) < 0.2] = np.nan
    reliability = rng.uniform(0.1, 0.9, (2, 25))
    sides = []
    for values in (x, y):
        values = values - np.nanmean(values, axis=0)
        level = np.nanmean(values, axis=1)
        sides.append((values - level[:, None], (level - level.mean()) / level.std()))
    (a, l_a), (b, l_b) = sides
    expected = np.empty((25, 25))
    for i in range(25):
        for j in range(25):
            both = np.isfinite(a[i]) & np.isfinite(b[j])
            r = a[i, both] @ b[j, both] / np.sqrt((a[i, both] ** 2).sum() * (b[j, both] ** 2).sum())
            if corrected:
                zeta = np.arctanh(np.sqrt(reliability[0][i] * reliability[1][j]))
                r = np.arctanh(np.clip(r, -0.99, 0.99)) * np.sqrt(zeta)
            expected[i, j] = r - 0.05 * (l_a[i] - l_b[j]) ** 2
    mapper = ProfileSimilarity(*reliability) if corrected else ProfileSimilarity()
    hub = np.sort(expected, axis=0)[-10:].mean(axis=0)
    np.testing.assert_allclose(matrix(mapper, x, y), expected - hub / 2, atol=2e-5)


def test_reliability_finds_more_partners_where_genes_differ_in_noise() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1500, 12))
    reliability = rng.uniform(0.03, 0.9, size=1500)
    noise = np.sqrt(1 / reliability - 1)[:, None]
    x, y = (truth + noise * rng.normal(size=truth.shape) for _ in range(2))

    def found(mapper: GeneMapper) -> float:
        return float(np.mean(top_genes(mapper.scores(x, y), 1).genes[:, 0] == np.arange(1500)))

    corrected = ProfileSimilarity(reliability, reliability, level_weight=0)
    assert found(corrected) > found(ProfileSimilarity(level_weight=0)) + 0.01


def test_cca_finds_partners_over_other_conditions() -> None:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(400, 6))
    x = latent @ rng.normal(size=(6, 20)) + 0.2 * rng.normal(size=(400, 20))
    y = latent @ rng.normal(size=(6, 25)) + 0.2 * rng.normal(size=(400, 25))
    mapper = AnchoredCCA().fit(x, y, anchors(300))
    top = top_genes(mapper.scores(x, y), 1, np.arange(300, 400))
    assert np.mean(top.genes[:, 0] == np.arange(300, 400)) > 0.9


def test_cca_compares_by_the_gaussian_likelihood_ratio() -> None:
    from scipy.stats import multivariate_normal, norm

    rng = np.random.default_rng(0)
    u, v, rho = rng.normal(size=(9, 2)), rng.normal(size=(11, 2)), np.array([0.8, 0.3])
    scores = likelihood_ratio(u, v, rho, np.ones(9, dtype=bool), np.ones(11, dtype=bool)).block(np.arange(9))
    expected = np.zeros((9, 11))
    for i, r in enumerate(rho):
        pairs = np.stack(np.broadcast_arrays(u[:, None, i], v[None, :, i]), axis=-1)
        joint = multivariate_normal([0, 0], [[1, r], [r, 1]]).logpdf(pairs)
        expected += joint - norm.logpdf(pairs).sum(axis=-1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("supervised", [False, True])
def test_transport_gives_every_query_gene_all_of_its_mass_and_finds_partners(supervised: bool) -> None:
    pytest.importorskip("ot")
    x, y = profiles(200, 12)
    mapper = GeneTransport().fit(x, y, anchors(100) if supervised else None)
    plan = np.exp(matrix(mapper, x, y))
    np.testing.assert_allclose(plan.sum(axis=1), 1, rtol=1e-4)
    assert np.mean(plan[100:].argmax(axis=1) == np.arange(100, 200)) > 0.8
    assert plan.sum(axis=0).max() < 2  # no hub


def test_cosine_leaves_out_genes_without_an_embedding() -> None:
    x = np.array([[1.0, 0.0], [0.0, 2.0], [np.nan, np.nan]])
    expected = np.array([[1, 0, -np.inf], [0, 1, -np.inf], [-np.inf] * 3])
    np.testing.assert_allclose(matrix(CosineSimilarity(), x, x), expected)


@pytest.mark.parametrize(
    "make", [ProfileSimilarity, CosineSimilarity, lambda: AnchoredCCA().fit(*profiles(), anchors(60))]
)
def test_blocks_do_not_matter(make, monkeypatch) -> None:
    x, y = profiles()
    whole = top_genes(make().scores(x, y), 5)
    monkeypatch.setattr(gene_scores, "BLOCK", 7)
    parts = top_genes(make().scores(x, y), 5)
    np.testing.assert_array_equal(whole.genes, parts.genes)
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-4, atol=1e-5)


def test_constant_genes_have_no_partner_and_are_nobodys() -> None:
    x, y = profiles()
    x[3], y[5] = 2.0, np.nan
    top = top_genes(ProfileSimilarity().scores(x, y), 4)
    weights = map_weights(top, len(y), 1.0).toarray()
    assert weights[3].sum() == 0
    assert weights[:, 5].sum() == 0
    np.testing.assert_allclose(np.delete(weights, 3, axis=0).sum(axis=1), 1, rtol=1e-5)


def test_a_table_shares_a_gene_among_its_partners() -> None:
    weights = table_weights(np.array([0, 0, 0, 2]), np.array([1, 2, 3, 0]), 2, (3, 4)).toarray()
    np.testing.assert_allclose(weights, [[0, 0.5, 0.5, 0], [0, 0, 0, 0], [1, 0, 0, 0]])


def test_too_few_anchors() -> None:
    with pytest.raises(ValueError, match="needs 12 pairs of orthologues among the measured genes at least; found 5"):
        AnchoredCCA().fit(*profiles(), anchors(5))
