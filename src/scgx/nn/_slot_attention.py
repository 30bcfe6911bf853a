"""The attention block of TransPlatformer: tokens are assigned to slots."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Softmax = Literal["slots", "tokens"]

_CHUNK = 2**24  # attention weights alive at once where the kernels do not apply
_SMALL = 2**20  # multiplications below which threads cost more than they bring
_PARTS = 256  # pieces in which gradients are summed: the same for any number of threads, and so is the result
_GELU_POWER = 0.425  # mean of GELU(z)², z standard normal


def slot_attention(hidden: Tensor, weight: Tensor, *, n_heads: int = 1, softmax: Softmax = "slots") -> Tensor:
    r"""Assign n tokens to s slots and sum the tokens of each slot, in all groups at once.

    .. math:: \ell_{nth} = \sum_c H_{nc} W_{cth}, \qquad O_{tc} = \sum_n p_{nth(c)} H_{nc}

    in each sample and group, with p the softmax of ℓ over slots t or tokens n. The r channels are h equal consecutive
    parts, one head each; h(c) is the head of channel c. The weights p are never held as a whole: they are computed
    block by block, and again in the backward pass. float32 on CPU runs in compiled kernels on
    :func:`torch.get_num_threads` threads (the first call of an installation compiles them, about ten seconds; later
    ones load them from numba's cache) and has first derivatives only; all else runs in chunks of torch operations.

    Parameters
    ----------
    hidden
        Tokens H, batch × groups × n × r. A single group is shared by all groups of ``weight``.
    weight
        Map W to logits, groups × r × (s · h), heads varying fastest. The work is done in its precision.
    n_heads
        Number of heads h, from 1 (one weight for all channels) to r (a weight for each channel).
    softmax
        ``"slots"``: each token is divided among the slots, so that values grow with n / s. ``"tokens"``: each slot is
        an average of tokens, that is cross-attention from s learned queries.

    Returns
    -------
    Batch × groups × s × r.

    Raises
    ------
    ValueError
        If the shapes do not fit, the heads do not divide r and s · h, or ``softmax`` is another word.

    References
    ----------
    Cong et al., TransPlatformer, BMC Bioinformatics 2026, TransPlatformer attention.
    """
    _check(hidden, weight, n_heads, softmax)
    # under autocast half precision puts the result several percent off
    with torch.autocast(hidden.device.type, enabled=False):
        hidden, by_head = hidden.to(weight.dtype), _by_head(weight, n_heads)
        if weight.dtype == torch.float32 and hidden.device.type == "cpu" and hidden.numel():
            by_head = F.pad(by_head, (0, 0, 0, -hidden.shape[3] % 4))
            return _Fused.apply(hidden.contiguous(), by_head.contiguous(), softmax == "slots")
        return _chunked(hidden, by_head, softmax)


class SlotAttention(nn.Module):
    """Feed forward H = GELU(X A + a), then :func:`slot_attention` on H, with weights of its own in each group.

    First weights give logits of unit variance for tokens of unit variance: enough that slots differ from the start,
    little enough that no weight is near 0 or 1. With ``softmax="slots"`` the result grows with n / s: normalise after
    it where n is far from s.

    Parameters
    ----------
    width
        Channels r of a token.
    n_slots
        Slots s of the result.
    n_heads
        Heads h, a divisor of ``width``.
    n_groups
        Concurrent decoders.
    softmax
        See :func:`slot_attention`.

    Raises
    ------
    ValueError
        If the heads do not divide the width.
    """

    def __init__(
        self, width: int, n_slots: int, *, n_heads: int = 1, n_groups: int = 1, softmax: Softmax = "slots"
    ) -> None:
        super().__init__()
        if width % n_heads:
            msg = f"n_heads must divide width; found n_heads={n_heads}, width={width}"
            raise ValueError(msg)
        self.n_heads, self.softmax = n_heads, softmax
        self.linear = nn.Parameter(torch.empty(n_groups, width, width))
        self.bias = nn.Parameter(torch.zeros(n_groups, 1, width))
        self.weight = nn.Parameter(torch.empty(n_groups, width, n_slots * n_heads))
        nn.init.normal_(self.linear, std=width**-0.5)
        nn.init.normal_(self.weight, std=(_GELU_POWER * width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Slots (batch × groups × s × r) of tokens ``x`` (batch × groups × n × r; one group is shared by all)."""
        return slot_attention(self._hidden(x), self.weight, n_heads=self.n_heads, softmax=self.softmax)

    @torch.no_grad()
    def weights(self, x: Tensor) -> Tensor:
        """Share of each token of ``x`` in the result, batch × groups × n, with sum 1 over tokens; for interpretation.

        ``softmax="tokens"``: its attention weight, mean over slots and heads. ``softmax="slots"``: there every
        token's weights sum to one; the share is the Euclidean norm (over slots and channels) of what the token adds
        to the result, p H. It grows with the size of the token and with how few slots it goes to.
        """
        hidden, weight = self._hidden(x), _by_head(self.weight, self.n_heads)
        pieces = _pieces(hidden, weight)
        if self.softmax == "tokens":
            sums = [_weights(hidden, part, "tokens").sum(-1) for part in weight.chunk(pieces, dim=3)]
            return torch.stack(sums).sum(0).mean(2) / weight.shape[3]
        power = hidden.unflatten(-1, (self.n_heads, -1)).square().sum(-1).transpose(2, 3)
        spread = [_weights(part, weight, "slots").square().sum(-1) for part in hidden.chunk(pieces, dim=2)]
        norm = (torch.cat(spread, dim=-1) * power).sum(2).sqrt()
        return norm / norm.sum(-1, keepdim=True)

    def _hidden(self, x: Tensor) -> Tensor:
        return F.gelu(x @ self.linear + self.bias)


def _check(hidden: Tensor, weight: Tensor, n_heads: int, softmax: str) -> None:
    shapes = f"found hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)}, n_heads={n_heads}"
    if softmax not in ("slots", "tokens"):
        msg = f"softmax must be 'slots' or 'tokens'; found {softmax!r}"
    elif hidden.ndim != 4 or weight.ndim != 3:
        msg = f"hidden must be batch × groups × n × r and weight groups × r × (s · h); {shapes}"
    elif hidden.shape[1] not in (1, weight.shape[0]):
        msg = f"hidden must have one group or those of weight; {shapes}"
    elif hidden.shape[3] != weight.shape[1]:
        msg = f"hidden and weight must have the same channels r; {shapes}"
    elif n_heads < 1 or hidden.shape[3] % n_heads or weight.shape[2] % n_heads:
        msg = f"n_heads must divide the channels r and the last dimension of weight, s · h; {shapes}"
    else:
        return
    raise ValueError(msg)


def _by_head(weight: Tensor, n_heads: int) -> Tensor:
    """Groups × r × (s · h) as groups × h × r × s."""
    return weight.unflatten(2, (-1, n_heads)).permute(0, 3, 1, 2)


def _weights(hidden: Tensor, weight: Tensor, softmax: Softmax) -> Tensor:
    """Attention weights, batch × groups × h × n × s."""
    return torch.einsum("bgnr,ghrs->bghns", hidden, weight).softmax(-1 if softmax == "slots" else -2)


def _attend(hidden: Tensor, weight: Tensor, softmax: Softmax) -> Tensor:
    values = hidden.unflatten(-1, (weight.shape[1], -1))
    return torch.einsum("bghns,bgnhc->bgshc", _weights(hidden, weight, softmax), values).flatten(-2)


def _pieces(hidden: Tensor, weight: Tensor) -> int:
    return -(-hidden.shape[0] * hidden.shape[2] * weight[:, :, 0].numel() // _CHUNK) or 1


def _chunked(hidden: Tensor, weight: Tensor, softmax: Softmax) -> Tensor:
    """Along the dimension that the softmax leaves free; each chunk is computed again in the backward pass."""

    def attend(hidden: Tensor, weight: Tensor) -> Tensor:
        return checkpoint(_attend, hidden, weight, softmax, use_reentrant=False, preserve_rng_state=False)

    pieces = _pieces(hidden, weight)
    if softmax == "tokens":
        return torch.cat([attend(hidden, part) for part in weight.chunk(pieces, dim=3)], dim=2)
    first, *others = (attend(part, weight) for part in hidden.chunk(pieces, dim=2))
    return sum(others, first)


class _Fused(torch.autograd.Function):
    """The compiled kernels; ``weight`` is groups × h × r × s, padded by zero channels to a multiple of four."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, over_slots: bool) -> Tensor:
        from scgx.nn import _slot_kernels

        (batch, _, n, width), (groups, n_heads, _, n_slots) = hidden.shape, weight.shape
        out = hidden.new_empty(batch, groups, n_slots, width)
        normaliser = hidden.new_empty(batch, groups, n_heads, n if over_slots else n_slots)
        arrays = hidden.detach().numpy(), weight.detach().numpy(), over_slots, out.numpy(), normaliser.numpy()
        _share(_slot_kernels.forward, batch * groups, out.numel() * n, arrays)
        ctx.save_for_backward(hidden, weight, normaliser, hidden.new_empty(0) if over_slots else out)
        ctx.over_slots = over_slots
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, None]:
        from scgx.nn import _slot_kernels

        hidden, weight, normaliser, out = ctx.saved_tensors
        (batch, _, n, width), (groups, n_heads, _, n_slots) = hidden.shape, weight.shape
        parts = min(batch, -(-_PARTS // groups))
        slot_sums = hidden.new_zeros(batch, groups, n_heads, n_slots)
        if not ctx.over_slots:
            slot_sums = (grad_out * out).unflatten(-1, (n_heads, -1)).sum(-1).transpose(2, 3).contiguous()
        grad_hidden = hidden.new_empty(batch, groups, n, width)
        grad_weight = weight.new_zeros(parts, *weight.shape)
        inputs = [tensor.numpy() for tensor in (hidden.detach(), weight.detach(), normaliser)]
        gradients = [tensor.numpy() for tensor in (grad_out.contiguous(), slot_sums, grad_hidden, grad_weight)]
        work = 3 * grad_out.numel() * n
        _share(_slot_kernels.backward, parts * groups, work, (*inputs, ctx.over_slots, *gradients))
        return grad_hidden.sum_to_size(hidden.shape), grad_weight.sum(0), None


def _share(kernel: Callable[..., None], n_units: int, work: int, arrays: tuple[Any, ...]) -> None:
    """Run ``kernel`` over all units, a few ranges for each thread so that a late one holds up little."""
    threads = torch.get_num_threads() if work > _SMALL else 1
    n_ranges = 1 if threads == 1 else min(n_units, 4 * threads)
    edges = [n_units * i // n_ranges for i in range(n_ranges + 1)]
    if n_ranges == 1:
        kernel(0, n_units, *arrays)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(kernel, first, last, *arrays) for first, last in pairwise(edges)]:
            done.result()
