"""Full attention over cells of different length, and the transformer layer made of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lengths: Tensor,
    *,
    query_lengths: Tensor | None = None,
    packed: bool | None = None,
) -> Tensor:
    """softmax(q kᵀ / √D) v over the keys that each cell has.

    Parameters
    ----------
    q
        Queries, batch × heads × M × D.
    k, v
        Keys and values, batch × heads × L × D.
    lengths
        Keys of each cell; those behind are padding.
    query_lengths
        Queries of each cell, where they differ; results behind them have no meaning. ``None``: all M.
    packed
        Concatenate the cells and compute nothing for padding; ``None``: on a GPU. Fused kernels exist for a boolean key mask
        on the CPU and for packed tokens on a GPU; the other way round, both are slow.

    Returns
    -------
    batch × heads × M × D.
    """
    if q.is_cuda if packed is None else packed:
        return _packed(q, k, v, lengths, query_lengths)
    mask = None
    if k.shape[2] > int(lengths.min()):
        mask = (torch.arange(k.shape[2], device=k.device) < lengths[:, None])[:, None, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _packed(q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, query_lengths: Tensor | None) -> Tensor:
    if query_lengths is None:
        query_lengths = torch.full_like(lengths, q.shape[2])
    asked = torch.arange(q.shape[2], device=q.device) < query_lengths[:, None]
    there = torch.arange(k.shape[2], device=k.device) < lengths[:, None]
    queries, starts, keys_start = q.transpose(1, 2)[asked], _starts(query_lengths), _starts(lengths)
    jagged = [
        torch.nested.nested_tensor_from_jagged(tokens, start, min_seqlen=int(n.min()), max_seqlen=int(n.max()))
        for tokens, start, n in (
            (queries, starts, query_lengths),
            (k.transpose(1, 2)[there], keys_start, lengths),
            (v.transpose(1, 2)[there], keys_start, lengths),
        )
    ]  # cells × (their tokens) × heads × D
    q, k, v = (x.transpose(1, 2) for x in jagged)
    out = F.scaled_dot_product_attention(q, k, v)
    padded = queries.new_zeros(*asked.shape, *queries.shape[1:])
    return padded.index_put(tuple(asked.nonzero().T), out.transpose(1, 2).values()).transpose(1, 2)


def _starts(lengths: Tensor) -> Tensor:
    return F.pad(lengths.cumsum(0), (1, 0))


class Layer(nn.Module):
    """Transformer layer, normalised before attention and before the perceptron.

    Parameters
    ----------
    width, n_heads
        Channels, and heads they are divided among.
    dropout
        Of what is added to the tokens. Attention itself has none: with it no kernel is fused on a CPU.
    """

    def __init__(self, width: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm, self.norm_hidden = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor, memory: Tensor | None = None) -> Tensor:
        """Tokens (batch × M × width) that have read each other, or ``memory`` (batch × L × width), of which ``lengths`` count."""
        normed = self.norm(x)
        k, v = self.key_value(normed if memory is None else memory).chunk(2, -1)
        query_lengths = lengths if memory is None else None
        q, k, v = (y.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for y in (self.query(normed), k, v))
        read = self._attend(q, k, v, lengths, query_lengths)
        x = x + self.dropout(self.out(read.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.perceptron(self.norm_hidden(x)))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, query_lengths: Tensor | None) -> Tensor:
        return attention(q, k, v, lengths, query_lengths=query_lengths)
