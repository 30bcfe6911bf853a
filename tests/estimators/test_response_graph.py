from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from scgx.estimators import Additive, Conditions, MeanDelta, PerturbationGraph

GENES, SETS = 30, 5
QUICK = {"width": 16, "max_epochs": 20, "patience": 8, "learning_rate": 1e-2}


def screen(n: int = 26, seed: int = 0) -> tuple[Conditions, np.ndarray, pd.DataFrame]:
    """Singles and doubles; the effect of a gene is that of its sets, a set counts once."""
    rng = np.random.default_rng(seed)
    sets = np.eye(SETS)[np.arange(n) % SETS]
    sets[rng.random(sets.shape) < 0.15] = 1
    effect = rng.normal(size=(SETS, GENES))
    members = [(k,) for k in range(n)] + [(k, (k + 7) % n) for k in range(0, n, 2)]
    delta = np.stack([sets[list(one)].max(axis=0) @ effect for one in members]) + 0.05 * rng.normal(
        size=(len(members), GENES)
    )
    names = [f"p{k:02d}" for k in range(n)]
    conditions = Conditions(
        tuple(tuple(sorted(names[k] for k in one)) for one in members),
        np.full(len(members), "a"),
        np.tile(rng.uniform(1, 3, GENES), (len(members), 1)),
    )
    return conditions, delta.astype(np.float32), pd.DataFrame(sets, index=names)


def held_out(conditions: Conditions, *names: str) -> tuple[np.ndarray, np.ndarray]:
    tested = np.array([not set(names).isdisjoint(one) for one in conditions.perturbations])
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def skill(model: PerturbationGraph | Additive, data: tuple[Conditions, np.ndarray, pd.DataFrame]) -> float:
    conditions, delta, _ = data
    train, test = held_out(conditions, "p03", "p11", "p19", "p24")
    known, asked = conditions.take(train), conditions.take(test)
    predicted = model.fit(known, delta[train]).predict(asked)
    mean = MeanDelta().fit(known, delta[train]).predict(asked)
    return float(1 - ((predicted - delta[test]) ** 2).sum() / ((mean - delta[test]) ** 2).sum())


@pytest.fixture(scope="module")
def fitted() -> tuple[PerturbationGraph, float]:
    data = screen()
    model = PerturbationGraph(data[2], **QUICK)
    return model, skill(model, data)


def test_unseen_genes_are_predicted_beyond_mean_and_additive(fitted: tuple[PerturbationGraph, float]) -> None:
    assert fitted[1] > 0.3
    assert skill(Additive(), screen()) < 0.3


def test_without_features_nothing_is_known_of_unseen_genes(fitted: tuple[PerturbationGraph, float]) -> None:
    assert skill(PerturbationGraph(**QUICK), screen()) < fitted[1] - 0.2


def test_order_and_grouping_of_conditions_do_not_matter_and_more_genes_may_be_perturbed(
    fitted: tuple[PerturbationGraph, float],
) -> None:
    model, conditions = fitted[0], screen()[0]
    control = conditions.control[:3]
    names = (("p01", "p02", "p03"), ("p03", "p02", "p01"), ("p05",))
    together = model.predict(Conditions(names, np.full(3, "a"), control))
    np.testing.assert_allclose(together[0], together[1], atol=1e-6)
    alone = model.predict(Conditions(names[2:], np.array(["a"]), control[:1]))
    np.testing.assert_allclose(alone[0], together[2], atol=1e-5)  # unseen p03 changes nothing for others
    assert np.abs(together[0] - together[2]).max() > 0.1


def test_the_same_seed_gives_the_same_network_and_the_global_generator_is_left_alone() -> None:
    conditions, delta, features = screen(12)
    state = torch.get_rng_state()
    model = PerturbationGraph(features, width=8, max_epochs=3)
    one = model.fit(conditions, delta).predict(conditions)
    assert torch.equal(torch.get_rng_state(), state)
    again = clone(model).fit(conditions, delta).predict(conditions)
    np.testing.assert_array_equal(one, again)
    two = clone(model).set_params(n_networks=2).fit(conditions, delta).predict(conditions)
    other = clone(model).set_params(seed=1).fit(conditions, delta)
    assert np.abs(two - one).max() > 0
    assert other.predict(conditions).shape == one.shape


def test_too_few_perturbations_and_foreign_embeddings_are_refused() -> None:
    conditions, delta, features = screen(12)
    with pytest.raises(ValueError, match="there are 2 different perturbations to learn from; .* needs 3"):
        PerturbationGraph(features).fit(conditions.take(np.array([0, 1])), delta[:2])
    with pytest.raises(ValueError, match="`embeddings` has 4 rows for 30 genes"):
        PerturbationGraph(features, embeddings=np.zeros((4, 2))).fit(conditions, delta)
