from __future__ import annotations

import numpy as np
import torch
from torch import nn

from scgx.estimators import MLP, GeneScaler, KernelRidge


def test_it_learns_what_ridge_cannot() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    Y = np.abs(X[:, :2]).astype(np.float32)
    network, ridge = MLP(hidden=(64, 64), max_epochs=40), KernelRidge(kernel="linear")
    errors = [np.square(Y[200:] - model.fit(X[:200], Y[:200]).predict(X[200:])).mean() for model in (network, ridge)]
    assert errors[0] < 0.3 * errors[1]


def test_prediction_is_the_networks_forward_pass_without_dropout(linear) -> None:
    model = MLP(hidden=(8, 5), max_epochs=2).fit(linear.X, linear.Y)
    layers = [nn.Linear(20, 8), nn.Linear(8, 5), nn.Linear(5, 7)]
    arrays = [torch.from_numpy(array) for array in model.weights_.values()]
    for layer, weight, bias in zip(layers, arrays[::2], arrays[1::2], strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    network = nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])
    scaled = torch.from_numpy(GeneScaler("standard").fit(linear.X).transform(linear.X))
    spread = np.sqrt(np.square(linear.Y - linear.Y.mean(axis=0)).mean())
    expected = network(scaled).detach().numpy() * spread + linear.Y.mean(axis=0)
    np.testing.assert_allclose(model.predict(linear.X), expected, rtol=1e-4, atol=1e-5)


def test_torchs_global_generator_stays_and_does_not_matter(linear) -> None:
    torch.default_generator.manual_seed(5)
    before = torch.get_rng_state()
    first = MLP(hidden=(8,), max_epochs=3).fit(linear.X, linear.Y).predict(linear.X)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    second = MLP(hidden=(8,), max_epochs=3).fit(linear.X, linear.Y).predict(linear.X)
    np.testing.assert_array_equal(first, second)


def test_another_seed_is_another_network(linear) -> None:
    predicted = [MLP(hidden=(8,), max_epochs=3, seed=s).fit(linear.X, linear.Y).predict(linear.X) for s in (0, 1)]
    assert np.abs(predicted[0] - predicted[1]).max() > 1e-3


def test_rescaling_the_targets_rescales_the_predictions(linear) -> None:
    model = MLP(hidden=(8,), max_epochs=5)
    small = model.fit(linear.X, linear.Y).predict(linear.X)
    large = model.fit(linear.X, 1000 * linear.Y + 7).predict(linear.X)
    np.testing.assert_allclose(large, 1000 * small + 7, rtol=1e-2, atol=2)


def test_missing_targets_are_left_out_of_loss_and_gradient() -> None:
    from scgx.nn import masked_error

    target = torch.tensor([[1.0, float("nan")], [2.0, 5.0]])
    predicted = torch.zeros(2, 2, requires_grad=True)
    error = masked_error(predicted, target)
    error.backward()
    assert error.item() == (1 + 4 + 25) / 3
    np.testing.assert_allclose(predicted.grad, [[-2 / 3, 0], [-4 / 3, -10 / 3]], rtol=1e-6)


def test_training_stops_once_held_out_groups_gain_nothing(linear) -> None:
    noise = np.random.default_rng(0).normal(size=linear.Y.shape).astype(np.float32)
    model = MLP(hidden=(64,), max_epochs=500, patience=3).fit(linear.X, noise, groups=linear.groups)
    assert model.n_epochs_ < 20


def test_epochs_are_limited(linear) -> None:
    assert MLP(hidden=(8,), learning_rate=1e-5, max_epochs=4).fit(linear.X, linear.Y).n_epochs_ == 4
