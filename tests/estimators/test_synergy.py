from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from scgx._core.drug_pairs import DrugPairs, read_lines, read_pairs
from scgx.estimators import (
    BaseSynergy,
    Chemistry,
    DeepDDS,
    DeepSynergy,
    Identity,
    PairKernel,
    RandomVectors,
    SynergyBoosting,
    SynergyForest,
    SynergyLinear,
    SynergyMean,
    tanimoto,
)

METHODS = {
    "line_mean": SynergyMean("cell_line"),
    "pair_mean": SynergyMean("pair"),
    "logistic": SynergyLinear(Identity()),
    "one_hot": SynergyBoosting(Identity(), n_trees=20),
    "random_vectors": SynergyBoosting(RandomVectors(), n_trees=20),
    "boosting": SynergyBoosting(Chemistry(), n_trees=20),
    "random_forest": SynergyForest(Chemistry()),
    "pair_kernel": PairKernel(),
    "deepsynergy": DeepSynergy(hidden=(16,), max_epochs=2),
    "deepdds": DeepDDS(hidden=(16,), max_epochs=2),
}
all_methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@pytest.fixture(scope="module")
def screen(simulate_screen: Callable[..., Any]) -> Any:
    return simulate_screen(n_drugs=14, n_lines=4, n_rows=260)


@pytest.fixture(scope="module")
def pairs(screen: Any) -> DrugPairs:
    return read_pairs(screen.pairs, read_lines(screen.expression), argument="pairs")


@all_methods
@pytest.mark.parametrize("target", ["label", "score"])
def test_order_of_drugs_rows_and_tables_does_not_matter(
    method: BaseSynergy, target: str, pairs: DrugPairs, screen: Any
) -> None:
    y = screen.pairs[target].to_numpy(dtype=float)
    train, test = pairs.take(np.arange(200)), pairs.take(np.arange(200, 260))
    fitted = method.fit(train, y[:200])
    predicted = fitted.predict(test)
    assert predicted.shape == (60,)
    np.testing.assert_allclose(fitted.predict(test.swapped()), predicted, atol=1e-6)
    order = np.random.default_rng(0).permutation(60)
    np.testing.assert_allclose(fitted.predict(test.take(order)), predicted[order], atol=1e-5)
    np.testing.assert_allclose(fitted.predict(test.take(order[:7])), predicted[order[:7]], atol=1e-5)
    if target == "label":
        assert predicted.min() >= 0
        assert predicted.max() <= 1
    else:  # scores are not squeezed into probabilities: their scale is carried
        moved = method.fit(train, 10 * y[:200] + 100).predict(test)
        np.testing.assert_allclose(moved, 10 * predicted + 100, rtol=0.02)


@pytest.mark.parametrize("name", [name for name in METHODS if not name.startswith("deep")])
def test_training_with_either_order_is_the_same(name: str, pairs: DrugPairs, screen: Any) -> None:
    y = screen.pairs["label"].to_numpy(dtype=float)
    predicted = METHODS[name].fit(pairs, y).predict(pairs)
    np.testing.assert_allclose(METHODS[name].fit(pairs.swapped(), y).predict(pairs), predicted, atol=1e-6)


def test_the_mean_of_a_group_is_shrunk_and_that_of_a_new_one_is_the_mean_of_all(pairs: DrugPairs) -> None:
    y = np.arange(len(pairs), dtype=float)
    known = np.flatnonzero(pairs.cell_line != "line0")
    fitted = SynergyMean("cell_line", shrinkage=2).fit(pairs.take(known), y[known])
    predicted = fitted.predict(pairs)
    own = pairs.cell_line == "line1"
    expected = y[known].mean() + (y[own] - y[known].mean()).sum() / (own.sum() + 2)
    np.testing.assert_allclose(predicted[own], expected)
    np.testing.assert_allclose(predicted[pairs.cell_line == "line0"], y[known].mean())


def test_the_pair_kernel_is_kernel_ridge_on_the_kernel_it_states(pairs: DrugPairs, screen: Any) -> None:
    y = screen.pairs["score"].to_numpy()
    rows, z = np.arange(200), pairs.expression
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    distance = ((z[:, None] - z) ** 2).sum(axis=-1)
    width = np.median(distance[np.triu_indices(len(z), 1)])
    like = np.eye(len(z)) * 0.5 + 0.5 * np.exp(-distance / width)
    drug = 0.4 * np.eye(len(pairs.smiles)) + 0.6 * tanimoto(pairs.fingerprint, pairs.fingerprint)
    kernel = np.empty((len(pairs), len(pairs)))
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            a, b, c, d = pairs.a[i], pairs.b[i], pairs.a[j], pairs.b[j]
            straight, crossed = drug[a, c], drug[b, d]
            other, again = drug[a, d], drug[b, c]
            of_pair = 1 + straight + crossed + other + again + straight * crossed + other * again
            kernel[i, j] = of_pair * (0.3 + 0.7 * like[pairs.line[i], pairs.line[j]])
    model = KernelRidge(alpha=2.0, kernel="precomputed").fit(kernel[np.ix_(rows, rows)], y[rows] - y[rows].mean())
    expected = y[rows].mean() + model.predict(kernel[200:, rows])
    fitted = PairKernel(penalty=2.0, likeness=0.6).fit(pairs.take(rows), y[rows])
    np.testing.assert_allclose(fitted.predict(pairs.take(np.arange(200, 260))), expected, atol=0.01 * np.std(y))


def test_probabilities_of_the_pair_kernel_keep_the_order_of_its_values(pairs: DrugPairs) -> None:
    y = (pairs.cell_line == "line0").astype(float)
    plain = PairKernel(penalty=0.01)
    probability = plain.fit(pairs, y).predict(pairs)
    plain.binary_ = False
    value = plain.predict(pairs)
    assert value.max() > 1 or value.min() < 0
    assert 0 < probability.min() < probability.max() < 1
    order = np.argsort(value)
    assert (np.diff(probability[order]) >= -1e-12).all()


def test_identity_knows_nothing_of_new_drugs_and_chemistry_does(pairs: DrugPairs) -> None:
    known = pairs.take(np.flatnonzero((pairs.a > 4) & (pairs.b > 4)))
    new = pairs.take(np.flatnonzero((pairs.a <= 4) & (pairs.b <= 4)))
    identity = Identity().fit(known).transform(new)
    assert identity[:, : len(known.smiles)].sum() == 0
    assert identity[:, len(known.smiles) :].sum() == len(new)
    chemistry = Chemistry().fit(known)
    assert len(np.unique(chemistry.transform(new), axis=0)) > len(new) / 2
    bits = known.fingerprint[:, chemistry.bits_]
    assert (bits.std(axis=0) > 0).all()
    assert len(np.unique(bits, axis=1).T) == bits.shape[1]


def test_random_vectors_tell_drugs_apart_but_not_how_alike_they_are(pairs: DrugPairs) -> None:
    first = RandomVectors().fit(pairs).transform(pairs)
    some = pairs.take(np.arange(9, 60))
    np.testing.assert_array_equal(RandomVectors().fit(some).transform(some), first[9:60])
    assert len(np.unique(first, axis=0)) == len(np.unique(np.char.add(pairs.pair, pairs.cell_line)))


@pytest.mark.parametrize("make", [DeepSynergy, DeepDDS], ids=["deepsynergy", "deepdds"])
def test_networks_learn_from_molecules_and_expression_and_leave_the_generator_alone(
    make: type[BaseSynergy], simulate_screen: Callable[..., Any]
) -> None:
    import torch

    screen = simulate_screen(n_drugs=30, n_lines=4, n_rows=700)
    pairs = read_pairs(screen.pairs, read_lines(screen.expression), argument="pairs")
    aromatic = np.char.count(pairs.smiles, "c") > 0
    y = aromatic[pairs.a].astype(float) + aromatic[pairs.b] + 0.5 * pairs.expression[pairs.line, 0]
    known = (pairs.a < 24) & (pairs.b < 24)
    train, test = np.flatnonzero(known), np.flatnonzero(~known)
    before = torch.random.get_rng_state()
    predicted = make(hidden=(64,), max_epochs=20).fit(pairs.take(train), y[train]).predict(pairs.take(test))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.corrcoef(predicted, y[test])[0, 1] > 0.9
