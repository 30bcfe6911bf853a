from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse, stats
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import rbf_kernel

from scgx.metrics import _distribution, e_distance, mean_max_pearson, mmd, variance_ratio

Cells = dict[str, np.ndarray]


@pytest.fixture
def two_sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (23, 5)), rng.normal(0.4, 1.5, (31, 5))


@pytest.fixture(scope="module")
def screen() -> Cells:
    """Three perturbations of 300 genes with Poisson noise: true cells, equally good predicted cells, controls."""
    rng = np.random.default_rng(0)
    base = 0.6 * rng.gamma(0.5, 2, 300)

    def cells(mean: np.ndarray, n: int) -> np.ndarray:
        depth = rng.gamma(8, 1 / 8, (n, 1))
        return np.log1p(rng.poisson(mean * depth))

    effects = [rng.permutation(np.r_[np.full(30, 2.0), np.full(30, 0.5), np.ones(240)]) for _ in range(3)]
    true, predicted = (np.concatenate([cells(base * effect, 80) for effect in effects]) for _ in range(2))
    return {"true": true, "predicted": predicted, "control": cells(base, 200), "condition": np.repeat(list("abc"), 80)}


def off_diagonal_mean(matrix: np.ndarray) -> float:
    return float(np.mean([matrix[i, j] for i, j in itertools.permutations(range(len(matrix)), 2)]))


def test_distances_equal_a_loop_over_pairs_in_any_block_size(
    two_sets: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = two_sets
    monkeypatch.setattr(_distribution, "_BLOCK", 0.001)  # a few rows a block
    euclidean = 2 * cdist(x, y).mean() - off_diagonal_mean(cdist(x, x)) - off_diagonal_mean(cdist(y, y))
    assert e_distance(x, y) == pytest.approx(euclidean)
    squares = [cdist(a, b, "sqeuclidean") for a, b in ((x, y), (x, x), (y, y))]
    squared = 2 * squares[0].mean() - off_diagonal_mean(squares[1]) - off_diagonal_mean(squares[2])
    assert e_distance(x, y, squared=True) == pytest.approx(squared)
    kernels = [rbf_kernel(a, b, gamma=1 / (2 * 1.7**2)) for a, b in ((x, y), (x, x), (y, y))]
    expected = off_diagonal_mean(kernels[1]) + off_diagonal_mean(kernels[2]) - 2 * kernels[0].mean()
    assert mmd(x, y, bandwidth=1.7) == pytest.approx(expected)
    median = np.median([np.linalg.norm(a - b) for a, b in itertools.combinations(x, 2)])
    assert mmd(x, y) == pytest.approx(mmd(x, y, bandwidth=float(median)))


def test_energy_distance_equals_scipy_in_one_dimension() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 400), rng.normal(1, 2, 500)
    # scipy's takes each value with itself too, which adds the mean distance within a set over its size
    within = [off_diagonal_mean(np.abs(v[:, None] - v)) / len(v) for v in (x, y)]
    expected = stats.energy_distance(x, y) ** 2 - sum(within)
    assert e_distance(x[:, None], y[:, None]) == pytest.approx(expected)


def test_equal_distributions_score_zero_whatever_the_numbers_of_cells() -> None:
    rng = np.random.default_rng(0)
    draws = [(rng.normal(size=(8, 3)), rng.normal(size=(40, 3))) for _ in range(400)]
    for metric in (e_distance, mmd, lambda x, y: e_distance(x, y, squared=True)):
        values = [metric(x, y) for x, y in draws]
        assert abs(np.mean(values)) < 3 * np.std(values) / 20  # three standard errors
    assert np.mean([variance_ratio(x, y) for x, y in draws]) == pytest.approx(1, abs=0.15)


def test_distances_are_invariant_to_rotation_and_order(two_sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = two_sets
    rotation = stats.ortho_group.rvs(5, random_state=0)
    for metric in (e_distance, mmd, variance_ratio):
        assert metric(x @ rotation, y[::-1] @ rotation) == pytest.approx(metric(x, y))
    assert e_distance(3 * x, 3 * y) == pytest.approx(3 * e_distance(x, y))
    assert mmd(3 * x, 3 * y) == pytest.approx(mmd(x, y))


def test_variance_ratio_is_the_ratio_of_total_variances(two_sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = two_sets
    assert variance_ratio(x, y) == pytest.approx(np.trace(np.cov(y.T)) / np.trace(np.cov(x.T)))
    assert variance_ratio(x, 3 * x + 7) == pytest.approx(9)
    assert variance_ratio(x, np.tile(x.mean(axis=0), (10, 1))) == pytest.approx(0)


def test_the_squared_form_cannot_tell_a_mean_from_cells(screen: Cells) -> None:
    """The known failure of the E-distance with squared norms: it is a distance of means."""
    true, predicted = screen["true"][:80], screen["predicted"][:80]
    mean_for_all = np.tile(predicted.mean(axis=0), (80, 1))
    assert e_distance(true, mean_for_all, squared=True) < 0.1 * e_distance(true, screen["control"], squared=True) + 1
    assert e_distance(true, mean_for_all) > 3 * e_distance(true, screen["control"])
    assert variance_ratio(true, mean_for_all) < 0.01 < 0.8 < variance_ratio(true, predicted) < 1.25


def test_a_constant_control_profile_wins_the_paper_metric_and_loses_ours(screen: Cells) -> None:
    """The known failure of mean_i max_j Pearson, and why it comes with its controls."""
    condition = screen["condition"]
    paper = mean_max_pearson(
        screen["true"],
        screen["predicted"],
        screen["control"],
        true_condition=condition,
        predicted_condition=condition,
    )
    assert paper.constant_control > paper.replicates + 0.05
    assert paper.constant_control > paper.prediction + 0.05
    assert paper.prediction == pytest.approx(paper.replicates, abs=0.02)  # a perfect model is a replicate
    assert paper.permuted > 0.9 * paper.prediction  # the wrong drug scores nearly as well

    constant = np.tile(screen["control"].mean(axis=0), (80, 1))
    for distance in (e_distance, mmd):
        for name, other in zip("abc", "bca", strict=True):
            real = screen["true"][condition == name]
            right = distance(real, screen["predicted"][condition == name])
            wrong = distance(real, screen["predicted"][condition == other])
            assert distance(real, constant) > 1.2 * wrong > 6 * abs(right)


def test_mean_max_pearson_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    true, control = rng.normal(size=(6, 12)), rng.normal(size=(4, 12))
    names = np.array(["x", "x", "x", "y", "y", "y"])
    # one candidate for each condition, so that no choice is left to the seed
    predicted, labels = rng.normal(size=(2, 12)), np.array(["x", "y"])
    found = mean_max_pearson(true, predicted, control, true_condition=names, predicted_condition=labels, seed=3)

    def r(a: np.ndarray, b: np.ndarray) -> float:
        return float(stats.pearsonr(a, b).statistic)

    def over_targets(candidate: dict[str, np.ndarray]) -> list[float]:
        """Every choice of two targets a condition: which of them were drawn is the seed's affair."""
        choices = itertools.product(itertools.combinations(range(3), 2), itertools.combinations(range(3, 6), 2))
        return [
            np.mean(
                [np.mean([r(true[i], candidate["x"]) for i in x]), np.mean([r(true[i], candidate["y"]) for i in y])]
            )
            for x, y in choices
        ]

    mean = control.mean(axis=0)
    for value, candidate in (
        (found.prediction, {"x": predicted[0], "y": predicted[1]}),
        (found.permuted, {"x": predicted[1], "y": predicted[0]}),
        (found.constant_control, {"x": mean, "y": mean}),
    ):
        assert np.isclose(over_targets(candidate), value).sum() == 1


def test_more_candidates_do_not_raise_the_paper_metric() -> None:
    rng = np.random.default_rng(0)
    true, control, names = rng.normal(size=(40, 10)), rng.normal(size=(5, 10)), np.repeat(["x", "y"], 20)
    many = np.repeat(["x", "y"], 2000)
    found = mean_max_pearson(true, rng.normal(size=(4000, 10)), control, true_condition=names, predicted_condition=many)
    assert found.prediction == pytest.approx(found.replicates, abs=0.1)  # 0.5 against 0.9 without equal numbers


def test_undefined_distances_are_nan() -> None:
    rng = np.random.default_rng(0)
    cells, one, equal = rng.normal(size=(5, 3)), rng.normal(size=(1, 3)), np.ones((4, 3))
    for metric in (e_distance, mmd, variance_ratio):
        assert np.isnan(metric(cells, one))
        assert np.isnan(metric(one, cells))
    assert np.isnan(mmd(equal, cells))
    assert np.isnan(variance_ratio(equal, cells))
    assert e_distance(equal, equal) == pytest.approx(0, abs=1e-12)


def test_wrong_cells_are_named(screen: Cells) -> None:
    cells = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"`predicted` has 1 NaN or infinite values.*\(0, 1\)"):
        e_distance(cells, np.array([[1, np.nan, 1.0]]))
    with pytest.raises(ValueError, match="`true` has 3 genes and `predicted` 2"):
        mmd(cells, cells[:, :2])
    with pytest.raises(ValueError, match=r"`true` must be a dense array.*toarray"):
        e_distance(sparse.csr_matrix(cells), cells)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`bandwidth` must be positive; found 0"):
        mmd(cells, cells, bandwidth=0)
    labels = np.array(["a", "a", "b", "b"])
    with pytest.raises(ValueError, match="same conditions, at least two; found 1 and 1"):
        mean_max_pearson(cells, cells, cells, true_condition=["a"] * 4, predicted_condition=["a"] * 4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only in one: 'b', 'c'"):
        other = np.array(["a", "a", "c", "c"])
        mean_max_pearson(cells, cells, cells, true_condition=labels, predicted_condition=other)
    with pytest.raises(ValueError, match="'b' have one true cell"):
        mean_max_pearson(cells[:3], cells, cells, true_condition=labels[:3], predicted_condition=labels)
    with pytest.raises(ValueError, match="`control` has 2 genes and `true` 3"):
        mean_max_pearson(cells, cells, cells[:, :2], true_condition=labels, predicted_condition=labels)
