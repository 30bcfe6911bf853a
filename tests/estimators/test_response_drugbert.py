from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone

from scgx.estimators import Conditions, DrugBERT, MeanDelta
from scgx.nn import DrugBERT as Network
from scgx.nn import DrugBERTConfig

GENES, BITS, CLASSES = 25, 40, 4
QUICK = {"width": 16, "max_epochs": 20, "learning_rate": 5e-3, "batch_size": 16}


def screen(n: int = 40, seed: int = 0, *, features: bool = True) -> tuple[Conditions, np.ndarray]:
    """Drugs of four classes that share bits, in two lines at two doses; effects by class, larger at the higher dose."""
    rng = np.random.default_rng(seed)
    drug, line, high = (x.ravel() for x in np.meshgrid(range(n), range(2), range(2), indexing="ij"))
    bits = np.zeros((n, BITS))
    for k in range(n):
        bits[k, 10 * (k % CLASSES) : 10 * (k % CLASSES) + 10] = rng.random(10) < 0.7
    effect = rng.normal(size=(2, CLASSES, GENES))[line, drug % CLASSES] * (1 + high[:, None])
    control = rng.normal(5, 1, size=(2, GENES))
    conditions = Conditions(
        tuple((f"d{k:02d}",) for k in drug),
        np.array(["a", "b"])[line],
        control[line],
        log_dose=high.astype(float),
        features=bits[drug] if features else None,
    )
    return conditions, (effect + 0.1 * rng.normal(size=effect.shape)).astype(np.float32)


def skill(model: DrugBERT, data: tuple[Conditions, np.ndarray]) -> float:
    """Over the mean change of each line, on eight held-out drugs."""
    conditions, delta = data
    tested = np.array([names[0] >= "d32" for names in conditions.perturbations])
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    known, asked = conditions.take(train), conditions.take(test)
    predicted = model.fit(known, delta[train]).predict(asked)
    mean = MeanDelta().fit(known, delta[train]).predict(asked)
    return float(1 - ((predicted - delta[test]) ** 2).sum() / ((mean - delta[test]) ** 2).sum())


def test_unseen_drugs_are_predicted_from_their_fingerprints_only() -> None:
    with_bits = skill(DrugBERT(**QUICK), screen())
    assert with_bits > 0.6
    assert skill(DrugBERT(**QUICK), screen(features=False)) < with_bits - 0.4


def test_a_pretrained_network_is_where_training_starts() -> None:
    conditions, delta = screen()
    torch.default_generator.manual_seed(0)
    config = DrugBERTConfig(GENES, lines=("b",), n_bits=BITS, width=16, depth=1, n_heads=2)
    start = Network(config)
    with torch.no_grad():
        start.bias_of_gene.copy_(torch.linspace(5, 10, GENES))
    before = {name: x.clone() for name, x in start.state_dict().items()}
    model = DrugBERT(start, learning_rate=1e-9, max_epochs=1).fit(conditions, delta)
    network = model.network_.network
    assert network.config.lines == ("b", "a")
    torch.testing.assert_close(network.bias_of_gene, before["bias_of_gene"])
    for name, x in start.state_dict().items():
        torch.testing.assert_close(x, before[name])  # the network that was given is not trained itself
    with pytest.raises(ValueError, match="`pretrained` is a network of 25 genes and 40 features; .* 24 and 40"):
        clone(model).fit(conditions, delta[:, 1:])


def test_a_context_never_seen_is_predicted_whatever_its_name() -> None:
    conditions, delta = screen(12)
    model = DrugBERT(**QUICK | {"max_epochs": 2}).fit(conditions, delta)
    rows = conditions.take(np.arange(4))
    named = [
        model.predict(Conditions(rows.perturbations, np.full(4, name), rows.control, rows.log_dose, rows.features))
        for name in ("c", "d", "a")
    ]
    np.testing.assert_array_equal(named[0], named[1])
    assert np.abs(named[0] - named[2]).max() > 1e-4


def test_the_same_seed_gives_the_same_network_and_the_global_generator_is_left_alone() -> None:
    conditions, delta = screen(8)
    state = torch.get_rng_state()
    model = DrugBERT(width=8, max_epochs=2)
    one = model.fit(conditions, delta).predict(conditions)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(clone(model).fit(conditions, delta).predict(conditions), one)


def test_one_drug_in_several_lines_chooses_epochs_on_a_line() -> None:
    rng = np.random.default_rng(0)
    lines = np.array([f"l{k}" for k in range(5)])
    conditions = Conditions((("ifnb",),) * 5, lines, rng.normal(size=(5, GENES)))
    delta = np.tile(rng.normal(size=GENES), (5, 1)).astype(np.float32)
    model = DrugBERT(width=8, max_epochs=60).fit(conditions, delta)
    assert 1 <= model.n_epochs_ <= 60
    assert np.corrcoef(model.predict(conditions).ravel(), delta.ravel())[0, 1] > 0.99
