from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from scgx.estimators import match_structure
from scgx.estimators._anchor_transport import transported_cost
from scgx.estimators._assignment import quadratic_match
from scgx.estimators._profile_shape import pair_cost, profile_shape


def organs(n: int = 6, n_genes: int = 600, seed: int = 0) -> np.ndarray:
    """Profiles with modules shared between organs, and organ-specific genes in unequal number."""
    rng = np.random.default_rng(seed)
    loading = rng.gamma(0.7, 1, size=(n, 5))
    X = 2 + loading @ rng.gamma(0.5, 1, size=(5, n_genes))
    for i in range(n):
        X[i, rng.random(n_genes) < 0.02 * (i + 1)] += 5
    return X


def another_study(X: np.ndarray, seed: int = 1) -> np.ndarray:
    """The same organs in another order of other genes of the same kind, with noise."""
    rng = np.random.default_rng(seed)
    genes = rng.choice(X.shape[1], X.shape[1] - 60, replace=False)
    return 1.7 * X[:, genes] + 0.3 * rng.normal(size=(len(X), len(genes)))


@pytest.mark.parametrize("n", [4, 6])
def test_organs_are_found_without_gene_names(n: int) -> None:
    X = organs(n)
    order = np.random.default_rng(2).permutation(n)
    match = match_structure(another_study(X)[order], X)
    assert match.assignment.tolist() == order.tolist()
    assert match.probability.argmax(axis=1).tolist() == order.tolist()
    np.testing.assert_allclose(match.probability.sum(axis=1), 1)


def test_shape_does_not_depend_on_the_order_of_genes_nor_on_unit() -> None:
    X = organs()
    shuffled = 3 * X[:, np.random.default_rng(0).permutation(X.shape[1])]
    a, b = match_structure(X, another_study(X)), match_structure(shuffled, another_study(X))
    np.testing.assert_allclose(a.probability, b.probability, atol=1e-6)


def test_the_difference_of_two_profiles_turns_round_with_them() -> None:
    differences = profile_shape(organs()).pair[1]
    np.testing.assert_allclose(differences[1, 2], -differences[2, 1, ::-1], atol=1e-10)


def test_a_study_differs_from_itself_by_nothing() -> None:
    shape = profile_shape(organs())
    cost = pair_cost(shape, shape)
    rows = np.arange(6)
    assert abs(cost[rows[:, None], rows[:, None], rows, rows]).max() < 1e-9


@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 5)])
def test_the_assignment_is_that_of_an_exhaustive_search(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    own, pair = rng.random((n, m)), rng.random((n, m, n, m))

    def energy(p: tuple[int, ...]) -> float:
        return sum(own[i, p[i]] for i in range(n)) + sum(pair[i, p[i], j, p[j]] for i in range(n) for j in range(n))

    best = min(permutations(range(m), n), key=energy)
    assignment, increase = quadratic_match(own, pair)
    assert tuple(assignment) == best
    # the first row takes the place of the second, which takes the first's
    swapped = (best[1], best[0], *best[2:])
    assert increase[0, best[1]] == pytest.approx(energy(swapped) - energy(best))
    assert increase[np.arange(n), assignment].tolist() == [0] * n


def test_anchors_are_kept_and_help() -> None:
    rng = np.random.default_rng(0)
    X = organs(8, seed=4)
    noisy = another_study(X) + 1.5 * rng.normal(size=(8, 540))
    anchors = np.array([0, 1, 2, 3, -1, -1, -1, -1])
    match = match_structure(noisy, X, anchors=anchors)
    assert match.assignment[:4].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(match.probability[:4, :4], np.eye(4))
    without = match_structure(noisy, X).assignment
    assert (match.assignment == np.arange(8)).sum() >= (without == np.arange(8)).sum()


def test_anchors_match_genes_so_that_other_profiles_can_be_compared() -> None:
    X = organs(8, n_genes=2000, seed=3)
    shuffled = X[:, np.random.default_rng(0).permutation(2000)]
    anchors = np.array([0, 1, 2, 3, 4, -1, -1, -1])
    cost = transported_cost(shuffled, X, anchors)
    assert cost[5:, 5:].argmin(axis=1).tolist() == [0, 1, 2]
    assert not cost[:5].any()


@pytest.mark.parametrize(("n", "m"), [(1, 3), (4, 3), (3, 51)])
def test_too_few_and_too_many_profiles_are_refused(n: int, m: int) -> None:
    with pytest.raises(ValueError, match=f"n = {n} and m = {m}: average the rows"):
        match_structure(organs(n), organs(m))


def test_two_anchors_cannot_be_one_profile() -> None:
    with pytest.raises(ValueError, match="same reference profile"):
        match_structure(organs(), organs(), anchors=np.array([1, 1, -1, -1, -1, -1]))


def test_profiles_without_varying_genes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 genes vary"):
        match_structure(np.ones((3, 50)), organs(3))
