from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from scgx.nn import Episodes, SampleAttention, masked_error, predict

HEADS, GENES, TARGETS = 3, 6, 4


def _network(seed: int = 0, n_targets: int = TARGETS, n_genes: int = GENES) -> SampleAttention:
    """A network in which every parameter differs from its first value and between heads."""
    generator = torch.Generator().manual_seed(seed)
    network = SampleAttention(torch.zeros(HEADS, n_genes), n_targets, generator)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator)
    return network


def _draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float64)


def _kernel_of_pair(network: SampleAttention, head: int, a: np.ndarray, b: np.ndarray) -> float:
    parameters = {name: _array(value)[head] for name, value in network.named_parameters()}
    product = distance = 0.0
    for g in range(len(a)):
        weight = np.exp(parameters["log_weights"][g]) / np.sqrt(len(a))
        product += weight * a[g] * weight * b[g]
        distance += (weight * a[g] - weight * b[g]) ** 2
    smooth = np.exp(parameters["smooth"]) * np.exp(-np.exp(parameters["width"]) * distance)
    return float(np.exp(parameters["linear"]) * product + smooth)


def _kernels(network: SampleAttention, a: Tensor, b: Tensor) -> np.ndarray:
    a, b = _array(a), _array(b)
    return np.array([[[_kernel_of_pair(network, h, row, other) for other in b] for row in a] for h in range(HEADS)])


def test_forward_is_a_mixture_of_kernel_ridge_regressions() -> None:
    network, query, support, targets = _network(), _draw(5, GENES), _draw(8, GENES, seed=2), _draw(8, 3, seed=3)
    columns = torch.tensor([3, 0, 2])
    np.testing.assert_allclose(_array(network.kernels(query, support)), _kernels(network, query, support), atol=1e-4)
    within, across = _kernels(network, support, support), _kernels(network, query, support)
    penalty, mixing = np.exp(_array(network.penalty)), _array(network.mixing)
    values = np.array([np.linalg.solve(within[h] + penalty[h] * np.eye(8), _array(targets)) for h in range(HEADS)])
    expected = np.zeros((5, 3))
    for position, gene in enumerate(columns.tolist()):
        share = np.exp(mixing[:, gene]) / np.exp(mixing[:, gene]).sum()
        for h in range(HEADS):
            expected[:, position] += share[h] * across[h] @ values[h][:, position]
    np.testing.assert_allclose(_array(network(query, support, targets, columns)), expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    network = _network(n_targets=2, n_genes=3).double()
    query, support, targets = (_draw(*shape).double() for shape in ((2, 3), (4, 3), (4, 2)))
    names = [name for name, _ in network.named_parameters()]

    def forward(*parameters: Tensor) -> Tensor:
        arguments = (query, support, targets, torch.tensor([1, 0]))
        return functional_call(network, dict(zip(names, parameters, strict=True)), arguments)

    assert torch.autograd.gradcheck(forward, tuple(network.parameters()))


def test_queries_do_not_see_each_other_and_support_has_no_order() -> None:
    network, query, support, targets = _network(), _draw(5, GENES), _draw(8, GENES, seed=2), _draw(8, TARGETS, seed=3)
    columns, order = torch.arange(TARGETS), torch.tensor([5, 2, 7, 0, 1, 6, 4, 3])
    together = predict(network, query, support, targets, columns)
    alone = torch.cat([predict(network, row[None], support, targets, columns) for row in query])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)
    shuffled = predict(network, query, support[order], targets[order], columns)
    torch.testing.assert_close(shuffled, together, rtol=1e-4, atol=1e-5)


def test_missing_targets_of_queries_are_left_out_of_the_gradient() -> None:
    network, query, support, targets = _network(), _draw(5, GENES), _draw(8, GENES, seed=2), _draw(8, TARGETS, seed=3)
    asked = _draw(5, TARGETS, seed=4)
    asked[0] = asked[3, 1] = torch.nan
    measured = torch.isfinite(asked)
    gradients = []
    for error in (masked_error, lambda p, y: (p[measured] - y[measured]).square().mean()):
        network.zero_grad()
        error(predict(network, query, support, targets, torch.arange(TARGETS)), asked).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert gradients[1].abs().max() > 1e-3
    torch.testing.assert_close(*gradients)


def test_missing_targets_of_the_support_count_as_its_mean() -> None:
    network, query, support, targets = _network(), _draw(5, GENES), _draw(8, GENES, seed=2), _draw(8, TARGETS, seed=3)
    targets[2, 0] = targets[5:, 1] = targets[:, 2] = torch.nan
    filled = targets.clone()
    filled[2, 0], filled[5:, 1], filled[:, 2] = targets[[0, 1, 3, 4, 5, 6, 7], 0].mean(), targets[:5, 1].mean(), 0
    columns = torch.arange(TARGETS)
    expected = predict(network, query, support, filled, columns)
    torch.testing.assert_close(predict(network, query, support, targets, columns), expected)
    assert not expected[:, 2].any()  # a gene never measured is at the centre


class _Spy(SampleAttention):
    """Keeps the first column of queries and support, which names their rows, and the target genes."""

    def forward(self, query: Tensor, support: Tensor, targets: Tensor, columns: Tensor) -> Tensor:
        self.seen.append([t.tolist() for t in (query[:, 0], support[:, 0], columns)])
        return super().forward(query, support, targets, columns)


def _episodes(groups: np.ndarray, n_steps: int, **limits: int) -> list[list[list[float]]]:
    x, y = _draw(len(groups), GENES), _draw(len(groups), TARGETS, seed=2)
    x[:, 0] = torch.arange(len(groups))
    spy = _Spy(torch.full((HEADS, GENES), -3.0), TARGETS, torch.Generator().manual_seed(0))
    spy.seen = []
    settings = {"max_rows": 100, "max_targets": 100} | limits
    steps = Episodes(learning_rate=1e-2, **settings).steps(spy, x, y, groups, torch.Generator().manual_seed(0))
    assert len(list(islice(steps, n_steps))) == n_steps
    return spy.seen


@pytest.mark.parametrize("label", [int, "study {}".format])
def test_a_group_is_never_on_both_sides(label: Callable[[int], object]) -> None:
    groups = np.array([label(i) for i in np.random.default_rng(0).integers(0, 9, size=36)])
    seen = _episodes(groups, 30)
    for query, support, columns in seen:
        asked, shown = set(groups[np.int_(query)]), set(groups[np.int_(support)])
        assert not asked & shown
        assert len(asked) == 2  # a quarter of nine
        assert sorted(query + support) == list(range(36))
        assert sorted(columns) == list(range(TARGETS))
    assert {row for query, *_ in seen for row in query} == set(range(36))


def test_an_episode_is_thinned_to_rows_and_targets() -> None:
    seen = _episodes(np.arange(36) // 2, 20, max_rows=10, max_targets=2)
    assert {len(query) + len(support) for query, support, _ in seen} == {10}
    assert {len(set(columns)) for *_, columns in seen} == {2}
    assert {row for query, support, _ in seen for row in query + support} == set(range(36))


def test_one_group_leaves_nothing_to_train_on() -> None:
    x, y = _draw(6, GENES), _draw(6, TARGETS)
    episodes = Episodes(learning_rate=1e-2, max_rows=10, max_targets=10)
    assert not list(episodes.steps(_network(), x, y, np.zeros(6), torch.Generator()))


def test_training_follows_its_generator_alone() -> None:
    x, y = _draw(20, GENES), _draw(20, TARGETS, seed=2)
    episodes = Episodes(learning_rate=1e-2, max_rows=15, max_targets=3)

    def trained(seed: int) -> Tensor:
        network = _network()
        steps = episodes.steps(network, x, y, np.arange(20), torch.Generator().manual_seed(seed))
        list(islice(steps, 4))
        return network.log_weights.detach()

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))
