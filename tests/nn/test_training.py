from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scgx.nn import Training, masked_error, perceptron, predict_rows


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 6)).astype(np.float32)
    y = (x @ rng.normal(size=(6, 3)) + 0.8 * rng.normal(size=(90, 3))).astype(np.float32)
    return x, y


def training(
    *, hidden: tuple[int, ...] = (64,), learning_rate: float = 1e-2, batch_size: int = 16, seed: int = 0
) -> Training:
    return Training(
        make=lambda: perceptron(6, 3, hidden=hidden, dropout=0.1),
        learning_rate=learning_rate,
        weight_decay=0.0,
        batch_size=batch_size,
        seed=seed,
    )


def test_a_linear_network_finds_least_squares_over_the_measured_targets(data) -> None:
    x, y = data
    y = y.copy()
    y[np.random.default_rng(1).random(y.shape) < 0.2] = np.nan
    network = training(hidden=(), learning_rate=0.1, batch_size=90).train(x, y, n_epochs=200)
    design = np.c_[x, np.ones(len(x))]
    for g in range(3):
        rows = np.isfinite(y[:, g])
        expected = np.linalg.lstsq(design[rows], y[rows, g])[0]
        found = [*network[0].weight[g].tolist(), network[0].bias[g].item()]
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_the_chosen_epoch_is_the_best_of_all(data) -> None:
    x, y = data
    train, test = (x[:60], y[:60]), (x[60:], y[60:])
    errors = []
    for n_epochs in range(1, 16):
        network = training().train(*train, n_epochs=n_epochs)
        errors.append(float(masked_error(torch.from_numpy(predict_rows(network, test[0])), torch.from_numpy(test[1]))))
    assert errors[-1] > min(errors) < errors[0]  # it overfits, so that there is something to choose
    assert training().choose_epochs(train, test, max_epochs=15, patience=15) == int(np.argmin(errors)) + 1


def test_it_stops_when_patience_ends(data) -> None:
    """Held-out targets of the opposite sign only get worse, from the first epoch on."""
    x, y = data
    steps = 0

    class Counted(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            nonlocal steps
            steps += self.training
            return super().forward(input)

    counted = Training(make=lambda: Counted(6, 3), learning_rate=0.05, weight_decay=0.0, batch_size=90, seed=0)
    assert counted.choose_epochs((x, y), (x, -y), max_epochs=100, patience=4) == 1
    assert steps == 5


def test_the_global_generator_is_left_and_does_not_matter(data) -> None:
    before = torch.get_rng_state()
    first = training().train(*data, n_epochs=2)
    training().choose_epochs(data, data, max_epochs=3, patience=1)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.rand(3)
        second = training().train(*data, n_epochs=2)
    other = training(seed=1).train(*data, n_epochs=2)
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.allclose(first[0].weight, other[0].weight)


def test_prediction_by_blocks_is_without_dropout() -> None:
    network = perceptron(6, 3, hidden=(8,), dropout=0.5).train()
    x = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
    predicted = predict_rows(network, x)
    np.testing.assert_allclose(predicted, network.eval()(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
