from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from scgx.nn import attention, linear_attention
from scgx.nn._xtrimogene_attention import Layer
from scgx.nn._xtrimogene_linear_attention import random_features

LENGTHS = torch.tensor([7, 3, 1])


def draw(n_queries: int, n_keys: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 2, n_queries, 8), (3, 2, n_keys, 8), (3, 2, n_keys, 8))
    q, k, v = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


def oracle(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor) -> Tensor:
    """One query, head and cell at a time, from the definition."""
    cells = []
    for cell, n in enumerate(lengths.tolist()):
        heads = []
        for head in range(q.shape[1]):
            rows = []
            for query in q[cell, head]:
                weights = torch.exp(torch.stack([query @ k[cell, head, j] for j in range(n)]) / q.shape[3] ** 0.5)
                rows.append(sum(w * v[cell, head, j] for j, w in enumerate(weights / weights.sum())))
            heads.append(torch.stack(rows))
        cells.append(torch.stack(heads))
    return torch.stack(cells)


@pytest.mark.parametrize("packed", [False, True], ids=["mask", "packed"])
@pytest.mark.parametrize("n_queries", [7, 4], ids=["self", "cross"])
def test_attention_and_its_gradients_are_those_of_a_loop(packed: bool, n_queries: int) -> None:
    inputs = draw(n_queries)
    asked = LENGTHS.clamp(max=n_queries) if n_queries == 7 else torch.full_like(LENGTHS, n_queries)
    there = (torch.arange(n_queries) < asked[:, None])[:, None, :, None]
    weight = torch.randn(3, 2, n_queries, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * there

    found = attention(*inputs, LENGTHS, query_lengths=asked, packed=packed)
    expected = oracle(*inputs, LENGTHS)
    torch.testing.assert_close(found * there, expected * there, rtol=1e-10, atol=1e-10)
    gradients = torch.autograd.grad((found * weight).sum(), inputs)
    for mine, theirs in zip(gradients, torch.autograd.grad((expected * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_single_precision_agrees() -> None:
    inputs = draw(7)
    single = attention(*(x.float() for x in inputs), LENGTHS)
    torch.testing.assert_close(single.double(), oracle(*inputs, LENGTHS), rtol=1e-4, atol=1e-5)


def test_linear_attention_is_its_formula_and_ignores_padding() -> None:
    q, k, v = (x.detach() for x in draw(7))
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    k[1, :, 3:] *= 1e4  # padding: neither the largest key nor an overflow
    found = linear_attention(q, k, v, features, LENGTHS).numpy()

    def phi(x: np.ndarray, others: np.ndarray) -> np.ndarray:
        largest = (others @ features.numpy().T).max() / 8**0.25
        return np.exp(features.numpy() @ x / 8**0.25 - x @ x / (2 * 8**0.5) - largest) + 1e-4

    for cell, head, row in ((0, 0, 2), (1, 1, 6), (2, 0, 0)):
        query, keys = q[cell, head, row].numpy(), k[cell, head, : LENGTHS[cell]].numpy()
        weights = np.array([phi(query, query[None]) @ phi(key, keys) for key in keys])
        expected = weights @ v[cell, head, : LENGTHS[cell]].numpy() / weights.sum()
        np.testing.assert_allclose(found[cell, head, row], expected, rtol=1e-10)


def test_linear_attention_and_its_gradients_come_close_to_attention_with_many_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scgx.nn._xtrimogene_linear_attention._EPSILON", 0.0)  # it draws towards the mean of values
    q, k, v = (x.detach() for x in draw(7))
    inputs = [x.requires_grad_() for x in (q / 2, k / 2, v)]  # of larger products more than these features are needed
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        features = random_features(20_000, 8).double()
    weight = torch.randn(3, 2, 7, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found, expected = linear_attention(*inputs, features, LENGTHS), oracle(*inputs, LENGTHS)  # type: ignore[misc]
    torch.testing.assert_close(found, expected, rtol=0, atol=0.06)
    gradients = torch.autograd.grad((found * weight).sum(), inputs)
    for mine, theirs in zip(gradients, torch.autograd.grad((expected * weight).sum(), inputs), strict=True):
        assert (mine - theirs).norm() < 0.15 * theirs.norm()


def test_random_features_are_orthogonal_within_blocks() -> None:
    with torch.random.fork_rng(devices=[]):
        unit = torch.nn.functional.normalize(random_features(20, 8), dim=1)
    for start in (0, 8, 16):
        block = unit[start : start + 8]
        torch.testing.assert_close(block @ block.T, torch.eye(len(block)), atol=1e-5, rtol=0)


def test_a_layer_treats_tokens_as_a_set() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        layer = Layer(16, 4).double()
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 9])
    torch.testing.assert_close(layer(x[:, order], lengths), layer(x, lengths)[:, order])
