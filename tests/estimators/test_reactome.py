"""Predictions of drug × organ conditions, against loops, scikit-learn and known truths."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Kernel

from scgx.estimators import (
    AdditiveReactome,
    LowRankReactome,
    NearestDrugs,
    ReactomeConditions,
    ReactomeGaussianProcess,
    ReactomeMean,
    kernel_weights,
)
from scgx.estimators._reactome_conditions import drug_profiles, similarity_elsewhere

METHODS = [
    pytest.param(ReactomeMean("design"), id="design_mean"),
    pytest.param(ReactomeMean("organ"), id="organ_mean"),
    pytest.param(ReactomeMean("drug"), id="drug_mean"),
    pytest.param(AdditiveReactome(), id="additive"),
    pytest.param(NearestDrugs(n_neighbors=3), id="nearest_drugs"),
    pytest.param(ReactomeGaussianProcess(), id="gaussian_process"),
    pytest.param(LowRankReactome(rank=3, n_components=10), id="low_rank"),
]


def simulated(
    n_drugs: int = 12, n_organs: int = 3, n_genes: int = 15, seed: int = 0
) -> tuple[ReactomeConditions, np.ndarray]:
    rng = np.random.default_rng(seed)
    drug, organ, repeat = (a.ravel() for a in np.meshgrid(range(n_drugs), range(n_organs), range(2), indexing="ij"))
    bits = (rng.random((n_drugs, 32)) < 0.3).astype(np.float32)
    effect = bits @ rng.normal(size=(32, n_genes))
    values = effect[drug] + rng.normal(size=(n_organs, n_genes))[organ] + 0.3 * rng.normal(size=(len(drug), n_genes))
    keep = rng.permutation(len(drug))[: int(0.8 * len(drug))]
    design = np.column_stack([drug % 2, repeat])
    conditions = ReactomeConditions(drug, organ, design, bits[drug])
    return conditions.take(keep), values[keep].astype(np.float32)


def test_design_mean_equals_a_loop() -> None:
    conditions, values = simulated()
    predicted = ReactomeMean("design", shrinkage=2.0).fit(conditions, values).predict(conditions)
    expected = np.tile(values.mean(axis=0), (len(values), 1))
    keys = [list(conditions.organ), list(zip(conditions.organ, conditions.design[:, 0], strict=True))]
    keys.append(list(zip(conditions.organ, *conditions.design.T, strict=True)))
    for level in keys:
        parent = expected.copy()
        for row, key in enumerate(level):
            members = [i for i, other in enumerate(level) if other == key]
            expected[row] = parent[row] + (values - parent)[members].sum(axis=0) / (len(members) + 2.0)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_design_never_seen_falls_back_to_its_organ() -> None:
    conditions, values = simulated()
    new = ReactomeConditions(np.array([0]), np.array([1]), np.array([[77, 78]]), np.zeros((1, 32), np.float32))
    by_design = ReactomeMean("design").fit(conditions, values).predict(new)
    np.testing.assert_allclose(by_design, ReactomeMean("organ").fit(conditions, values).predict(new), atol=1e-6)


def test_additive_recovers_an_additive_truth() -> None:
    rng = np.random.default_rng(0)
    drug, organ = (a.ravel() for a in np.meshgrid(range(30), range(4), indexing="ij"))
    values = (rng.normal(size=(30, 8))[drug] + rng.normal(size=(4, 8))[organ]).astype(np.float32)
    conditions = ReactomeConditions(drug, organ, np.zeros((120, 0), int))
    train, test = np.arange(120) % 5 != 0, np.arange(120) % 5 == 0
    known, asked = conditions.take(np.flatnonzero(train)), conditions.take(np.flatnonzero(test))
    predicted = AdditiveReactome(shrinkage=1e-4).fit(known, values[train]).predict(asked)
    np.testing.assert_allclose(predicted, values[test], atol=1e-2)


def test_similarity_elsewhere_is_the_cosine_of_joined_profiles_of_other_organs() -> None:
    conditions, values = simulated()
    profiles, measured = drug_profiles(conditions, values, np.arange(12), np.arange(3))
    similarity, _ = similarity_elsewhere(profiles, measured)
    for organ in range(3):
        joined = np.zeros((12, 2, values.shape[1]))
        for slot, other in enumerate([o for o in range(3) if o != organ]):
            for drug in range(12):
                rows = (conditions.drug == drug) & (conditions.organ == other)
                if rows.any():
                    mean = values[rows].mean(axis=0)
                    joined[drug, slot] = mean / np.linalg.norm(mean)
        joined = joined.reshape(12, -1)
        norm = np.maximum(np.linalg.norm(joined, axis=1), 1e-12)
        np.testing.assert_allclose(similarity[organ], joined @ joined.T / np.outer(norm, norm), atol=1e-5)


def test_what_an_organ_says_never_enters_its_own_similarity() -> None:
    conditions, values = simulated()
    changed = values.copy()
    changed[conditions.organ == 1] += 5
    before, after = (
        similarity_elsewhere(*drug_profiles(conditions, v, np.arange(12), np.arange(3)))[0] for v in (values, changed)
    )
    np.testing.assert_allclose(before[1], after[1], atol=1e-6)
    assert not np.allclose(before[0], after[0], atol=1e-2)


class Given(Kernel):
    """A covariance matrix known beforehand; rows are positions."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def __call__(self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False) -> np.ndarray:
        rows = X[:, 0].astype(int)
        columns = rows if Y is None else Y[:, 0].astype(int)
        return self.matrix[np.ix_(rows, columns)]

    def diag(self, X: np.ndarray) -> np.ndarray:
        return self.matrix.diagonal()[X[:, 0].astype(int)]

    def is_stationary(self) -> bool:
        return False


def test_posterior_equals_scikit_learn() -> None:
    conditions, values = simulated()
    half = len(values) // 2
    known, asked = conditions.take(np.arange(half)), conditions.take(np.arange(half, len(values)))
    fitted = ReactomeGaussianProcess().fit(known, values[:half])
    n_cells = len(fitted.cells_)
    everything = ReactomeConditions(
        np.concatenate([fitted.cells_.drug, asked.drug]),
        np.concatenate([fitted.cells_.organ, asked.organ]),
        np.vstack([fitted.cells_.design, asked.design]),
        np.vstack([fitted.cells_.features, asked.features]),
    )
    residual = values[:half] - fitted.mean_.predict(known)
    of_cell = np.stack(
        [
            residual[(known.drug == d) & (known.organ == o)].mean(axis=0)
            for d, o in zip(fitted.cells_.drug, fitted.cells_.organ, strict=True)
        ]
    )
    reference = GaussianProcessRegressor(
        Given(fitted.covariance(everything, everything)), alpha=fitted.noise(fitted.count_), optimizer=None
    ).fit(np.arange(n_cells)[:, None], of_cell)
    positions = np.arange(n_cells, len(everything))[:, None]
    mean = reference.predict(positions)
    covariance = reference.predict(positions, return_cov=True)[1]
    np.testing.assert_allclose(fitted.predict(asked), fitted.mean_.predict(asked) + mean, atol=1e-5)
    np.testing.assert_allclose(fitted.posterior_covariance(asked), covariance[:, :, 0], atol=1e-8)


def test_kernel_weights_find_the_weights_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(120, 8)), rng.normal(size=(120, 8))
    kernels = [A @ A.T / 8, B @ B.T / 8]
    covariance = 2.0 * kernels[0] + 0.5 * kernels[1] + 1.0 * np.eye(120)
    Y = np.linalg.cholesky(covariance) @ rng.normal(size=(120, 3000))
    weights, noise = kernel_weights(kernels, Y @ Y.T / 3000)
    np.testing.assert_allclose([*weights, noise], [2.0, 0.5, 1.0], rtol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_order_of_conditions_genes_and_codes_does_not_matter(method: object) -> None:
    conditions, values = simulated()
    expected = clone(method).fit(conditions, values).predict(conditions)
    rng = np.random.default_rng(1)
    rows, genes = rng.permutation(len(values)), rng.permutation(values.shape[1])
    new_code = rng.permutation(100)
    shuffled = ReactomeConditions(
        new_code[conditions.drug], new_code[conditions.organ], new_code[conditions.design], conditions.features
    )
    fitted = clone(method).fit(shuffled.take(rows), values[rows][:, genes])
    # iterative methods stop within a tolerance
    np.testing.assert_allclose(fitted.predict(shuffled), expected[:, genes], atol=5e-2)


@pytest.mark.parametrize(
    "method", [NearestDrugs(), LowRankReactome(rank=3, n_components=10), ReactomeGaussianProcess()]
)
def test_a_drug_of_which_nothing_is_known_gets_the_design_mean(method: object) -> None:
    conditions, values = simulated()
    conditions = ReactomeConditions(conditions.drug, conditions.organ, conditions.design)
    new = ReactomeConditions(np.array([99]), np.array([1]), conditions.design[:1])
    expected = ReactomeMean("design").fit(conditions, values).predict(new)
    np.testing.assert_allclose(clone(method).fit(conditions, values).predict(new), expected, atol=1e-5)


def held_out_drug_error(features: np.ndarray, drug: np.ndarray, organ: np.ndarray, values: np.ndarray) -> float:
    """Squared error of the process on new drugs over that of the design mean."""
    conditions = ReactomeConditions(drug, organ, np.zeros((len(drug), 0), int), features[drug])
    train, test = np.flatnonzero(drug % 4 != 0), np.flatnonzero(drug % 4 == 0)
    known, asked = conditions.take(train), conditions.take(test)
    errors = [
        np.square(method.fit(known, values[train]).predict(asked) - values[test]).sum()
        for method in (ReactomeGaussianProcess(), ReactomeMean())
    ]
    return float(errors[0] / errors[1])


def test_chemistry_predicts_new_drugs_where_it_is_true_and_does_not_where_permuted() -> None:
    rng = np.random.default_rng(0)
    family = np.arange(80) % 10
    bits = (rng.random((10, 64)) < 0.3)[family] ^ (rng.random((80, 64)) < 0.05)
    effect = rng.normal(size=(10, 40))[family]
    drug, organ = (a.ravel() for a in np.meshgrid(range(80), range(3), indexing="ij"))
    values = (effect[drug] + rng.normal(size=(3, 40))[organ] + 0.5 * rng.normal(size=(240, 40))).astype(np.float32)
    features = bits.astype(np.float32)
    assert held_out_drug_error(features, drug, organ, values) < 0.5
    assert held_out_drug_error(features[rng.permutation(80)], drug, organ, values) > 0.95


def test_conditions_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="`organ` has 2 rows for 3 drugs"):
        ReactomeConditions(np.arange(3), np.arange(2), np.zeros((3, 0), int))
