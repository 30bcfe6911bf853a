from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from scgx.nn import SlotAttention, _slot_attention, slot_attention

BATCH, GROUPS, TOKENS, SLOTS, WIDTH = 3, 2, 21, 10, 12  # no dimension is a multiple of the kernels' blocks
SHAPES = [
    pytest.param(n_heads, shared, softmax, id=f"{softmax}-{n_heads}heads-{'shared' if shared else 'own'}")
    for softmax in ("slots", "tokens")
    for n_heads in (1, 2, 4, 12)
    for shared in (True, False)
]
both = pytest.mark.parametrize("softmax", ["slots", "tokens"])
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["kernels", "torch"])


def reference(hidden: Tensor, weight: Tensor, n_heads: int, softmax: str) -> Tensor:
    hidden = hidden.expand(-1, len(weight), -1, -1)
    p = (
        torch.einsum("bgnr,grk->bgnk", hidden, weight)
        .unflatten(-1, (-1, n_heads))
        .softmax(3 if softmax == "slots" else 2)
    )
    return torch.einsum("bgnth,bgnhc->bgthc", p, hidden.unflatten(-1, (n_heads, -1))).flatten(-2)


def _draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def _inputs(n_heads: int = 1, shared: bool = False, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    hidden = _draw(BATCH, 1 if shared else GROUPS, TOKENS, WIDTH, seed=0, dtype=dtype)
    return hidden, _draw(GROUPS, WIDTH, SLOTS * n_heads, seed=1, dtype=dtype)


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _with_gradients(call, hidden: Tensor, weight: Tensor, grad: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight)]
    out = call(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, grad.to(out.dtype))]


@pytest.mark.parametrize(("n_heads", "shared", "softmax"), SHAPES)
def test_torch_path_equals_reference(n_heads: int, shared: bool, softmax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slot_attention, "_CHUNK", 1000)  # several chunks, the last one smaller
    hidden, weight = _inputs(n_heads, shared)
    out = slot_attention(hidden, weight, n_heads=n_heads, softmax=softmax)
    torch.testing.assert_close(out, reference(hidden, weight, n_heads, softmax), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n_heads", "shared", "softmax"), SHAPES)
def test_kernels_equal_reference_in_double_precision(n_heads: int, shared: bool, softmax: str) -> None:
    hidden, weight = _inputs(n_heads, shared)
    grad = _draw(BATCH, GROUPS, SLOTS, WIDTH, seed=2)
    expected = _with_gradients(lambda h, w: reference(h, w, n_heads, softmax), hidden, weight, grad)
    found = _with_gradients(
        lambda h, w: slot_attention(h, w, n_heads=n_heads, softmax=softmax), hidden.float(), weight.float(), grad
    )
    assert found[0].dtype == torch.float32
    assert [_error(f, e) < 1e-5 for f, e in zip(found, expected, strict=True)] == [True] * 3


@pytest.mark.parametrize(("n_heads", "shared", "softmax"), SHAPES)
def test_gradients_are_derivatives(n_heads: int, shared: bool, softmax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slot_attention, "_CHUNK", 50)
    hidden = _draw(2, 1 if shared else 2, 4, WIDTH, seed=0).requires_grad_()
    weight = _draw(2, WIDTH, 3 * n_heads, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda h, w: slot_attention(h, w, n_heads=n_heads, softmax=softmax), (hidden, weight), fast_mode=n_heads > 2
    )


@pytest.mark.parametrize(
    ("tokens", "slots", "width"),
    [(1, 1, 1), (16, 8, 4), (5, 700, 16), (700, 3, 7)],
    ids=["one", "whole blocks", "many slots", "many tokens"],
)
@both
def test_kernels_at_the_edges_of_their_blocks(tokens: int, slots: int, width: int, softmax: str) -> None:
    hidden, weight = _draw(2, 3, tokens, width, seed=3), _draw(3, width, slots, seed=4)
    grad = _draw(2, 3, slots, width, seed=5)
    expected = _with_gradients(lambda h, w: reference(h, w, 1, softmax), hidden, weight, grad)
    found = _with_gradients(lambda h, w: slot_attention(h, w, softmax=softmax), hidden.float(), weight.float(), grad)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() < 1e-6 + 1e-5 * other.abs().max()


@precisions
def test_slots_share_out_every_token(dtype: torch.dtype) -> None:
    hidden, weight = _inputs(4, dtype=dtype)
    out = slot_attention(hidden, weight, n_heads=4)
    torch.testing.assert_close(out.sum(2), hidden.sum(2), rtol=1e-4, atol=1e-5)


@precisions
def test_softmax_over_tokens_is_scaled_dot_product_attention(dtype: torch.dtype) -> None:
    hidden, weight = _inputs(dtype=dtype)
    expected = torch.nn.functional.scaled_dot_product_attention(weight.mT, hidden, hidden, scale=1.0)
    torch.testing.assert_close(slot_attention(hidden, weight, softmax="tokens"), expected)


@precisions
@both
def test_order_of_tokens_does_not_matter(dtype: torch.dtype, softmax: str) -> None:
    hidden, weight = _inputs(2, dtype=dtype)
    order = torch.from_numpy(np.random.default_rng(6).permutation(TOKENS))
    out = [slot_attention(h, weight, n_heads=2, softmax=softmax) for h in (hidden, hidden[:, :, order])]
    torch.testing.assert_close(*out)


@both
def test_large_logits_do_not_overflow(softmax: str) -> None:
    hidden, weight = _inputs()
    weight = 1000 * weight
    found = slot_attention(hidden.float(), weight.float(), softmax=softmax)
    assert _error(found, reference(hidden, weight, 1, softmax)) < 1e-2  # float32 logits of thousands are off by 1e-3
    leaves = [tensor.float().requires_grad_() for tensor in (hidden, weight)]
    slot_attention(*leaves, softmax=softmax).square().sum().backward()
    assert all(leaf.grad.isfinite().all() for leaf in leaves)


@precisions
@both
def test_missing_values_are_not_hidden(dtype: torch.dtype, softmax: str) -> None:
    hidden, weight = _inputs(dtype=dtype)
    hidden[1, 0, 5, 3] = torch.nan
    out = slot_attention(hidden, weight, softmax=softmax)
    assert out[1, 0].isnan().all()
    assert out[[0, 2]].isfinite().all()
    hidden, weight = _inputs(dtype=dtype)
    weight[1, 0, 2] = torch.nan
    assert slot_attention(hidden, weight, softmax=softmax)[:, 1, 2].isnan().all()


@both
def test_number_of_threads_changes_nothing(softmax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slot_attention, "_SMALL", 0)
    hidden, weight = _inputs(2, dtype=torch.float32)
    grad, threads, results = _draw(BATCH, GROUPS, SLOTS, WIDTH, seed=2), torch.get_num_threads(), []
    try:
        for n_threads in (1, 3):
            torch.set_num_threads(n_threads)
            call = lambda h, w: slot_attention(h, w, n_heads=2, softmax=softmax)  # noqa: E731
            results.append(_with_gradients(call, hidden, weight, grad))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_autocast_does_not_lower_the_precision() -> None:
    hidden, weight = _inputs(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = slot_attention(hidden.bfloat16(), weight)
    torch.testing.assert_close(out, slot_attention(hidden.bfloat16().float(), weight))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@both
def test_gpu_equals_reference(softmax: str) -> None:
    hidden, weight = _inputs(4)
    out = slot_attention(hidden.float().cuda(), weight.float().cuda(), n_heads=4, softmax=softmax)
    assert _error(out.cpu(), reference(hidden, weight, 4, softmax)) < 1e-5


@pytest.mark.parametrize(
    ("hidden", "weight", "options", "message"),
    [
        ((2, 1, 5, 6), (3, 6, 8), {"n_heads": 4}, r"n_heads must divide .* n_heads=4"),
        ((2, 1, 5, 6), (3, 6, 8), {"n_heads": 3}, r"s · h; found .*\(3, 6, 8\)"),
        ((2, 1, 5, 6), (3, 6, 8), {"n_heads": 0}, "n_heads must divide"),
        ((2, 2, 5, 6), (3, 6, 8), {}, r"one group .*\(2, 2, 5, 6\)"),
        ((2, 1, 5, 4), (3, 6, 8), {}, "same channels"),
        ((2, 5, 6), (3, 6, 8), {}, "batch × groups × n × r"),
        ((2, 1, 5, 6), (3, 6, 8), {"softmax": "genes"}, "'slots' or 'tokens'; found 'genes'"),
    ],
)
def test_wrong_shapes_are_named(hidden: tuple, weight: tuple, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slot_attention(torch.ones(hidden), torch.ones(weight), **options)


def test_width_must_divide_into_heads() -> None:
    with pytest.raises(ValueError, match="n_heads=3, width=16"):
        SlotAttention(16, 8, n_heads=3)


def _module(softmax: str, n_heads: int = 2, n_groups: int = GROUPS, n_slots: int = SLOTS) -> SlotAttention:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return SlotAttention(WIDTH, n_slots, n_heads=n_heads, n_groups=n_groups, softmax=softmax)


@pytest.mark.parametrize("shared", [True, False])
@both
def test_module_feeds_each_group_forward_by_its_own_weights(softmax: str, shared: bool) -> None:
    module, x = _module(softmax).double(), _draw(BATCH, 1 if shared else GROUPS, TOKENS, WIDTH, seed=7)
    torch.nn.init.normal_(module.bias, generator=torch.Generator().manual_seed(1))
    out = module(x)
    assert out.shape == (BATCH, GROUPS, SLOTS, WIDTH)
    for g in range(GROUPS):
        part = x[:, :1] if shared else x[:, g : g + 1]
        hidden = torch.nn.functional.gelu(part @ module.linear[g] + module.bias[g])
        torch.testing.assert_close(out[:, g : g + 1], reference(hidden, module.weight[g : g + 1], 2, softmax))


def test_first_logits_have_unit_variance() -> None:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        module = SlotAttention(16, 256, n_groups=4)
    logits = module._hidden(_draw(8, 1, 64, 16, seed=8, dtype=torch.float32)) @ module.weight
    assert 0.8 < logits.var() < 1.25


@both
def test_weights_are_each_tokens_share(softmax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slot_attention, "_CHUNK", 1000)
    module, x = _module(softmax).double(), _draw(BATCH, 1, TOKENS, WIDTH, seed=7)
    hidden = module._hidden(x).detach()
    logits = (hidden @ module.weight.detach()).unflatten(-1, (-1, 2))
    p = logits.softmax(3 if softmax == "slots" else 2)
    if softmax == "tokens":
        expected = p.mean((3, 4))
    else:
        added = torch.einsum("bgnth,bgnhc->bgnthc", p, hidden.unflatten(-1, (2, -1)))
        norm = added.square().sum((3, 4, 5)).sqrt()
        expected = norm / norm.sum(2, keepdim=True)
    weights = module.weights(x)
    assert not weights.requires_grad
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(weights.sum(2), torch.ones(BATCH, GROUPS, dtype=torch.float64))


@precisions
def test_global_random_state_is_left_alone(dtype: torch.dtype) -> None:
    module, x = _module("slots").to(dtype), _draw(BATCH, 1, TOKENS, WIDTH, seed=7, dtype=dtype)
    before = torch.get_rng_state()
    module(x).sum().backward()
    module.weights(x)
    assert torch.equal(torch.get_rng_state(), before)


MEMORY = """
import pathlib, torch
from scgx.nn import slot_attention
def steps(batch, groups, n, s):
    for softmax in ("slots", "tokens"):
        hidden, weight = torch.ones(batch, 1, n, 4, requires_grad=True), torch.ones(groups, 4, s, requires_grad=True)
        slot_attention(hidden, weight, softmax=softmax).sum().backward()
def peak():  # ru_maxrss would start at the peak of the parent
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
steps(1, 2, 32, 8)
before = peak()
steps(2, 8, 5000, 4000)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory from /proc")
def test_weights_are_never_held_as_a_whole() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    whole = 2 * 8 * 5000 * 4000 * 4
    assert whole > 2**30
    assert int(done.stdout) * 1024 < whole / 16
