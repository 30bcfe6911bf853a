"""Attention whose cost grows with the number of tokens and not with its square: the Performer's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scgx.nn._xtrimogene_attention import Layer

_EPSILON = 1e-4


def random_features(n_features: int, width: int) -> Tensor:
    """Random directions, features × width, orthogonal within each block of ``width``; norms as of normal vectors."""
    q, r = torch.linalg.qr(torch.randn(-(-n_features // width), width, width))
    signs = torch.where(r.diagonal(dim1=1, dim2=2) < 0, -1, 1)  # LAPACK's favour one side of the space
    directions = (q * signs[:, None]).transpose(1, 2).flatten(0, 1)[:n_features]
    return directions * torch.randn(n_features, width).norm(dim=1, keepdim=True)


def linear_attention(q: Tensor, k: Tensor, v: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
    """φ(q) (φ(k)ᵀ v) / (φ(q) Σ φ(k)) with φ(x) = exp(F x' − ‖x'‖² / 2 − c) + 0.0001 and x' = x / √D^½.

    The softmax kernel of Choromanski et al. (Performer, 2021): expectations of φ(q)ᵀ φ(k) over normal features F are in
    proportion to exp(qᵀk / √D). c is the largest F x', of each query and over all keys of a head, against overflow.

    Parameters
    ----------
    q, k, v
        Queries, keys and values, batch × heads × L × D.
    features
        F, features × D.
    lengths
        Keys of each cell; those behind are padding.

    Returns
    -------
    batch × heads × L × D.
    """
    there = (torch.arange(k.shape[2], device=k.device) < lengths[:, None])[:, None, :, None]
    phi_q = _positive_features(q, features)
    phi_k = _positive_features(k, features, there).transpose(2, 3)
    total = phi_k @ there.to(v.dtype)  # batch × heads × features × 1
    return phi_q @ (phi_k @ (v * there)) / (phi_q @ total)


def _positive_features(x: Tensor, features: Tensor, keys: Tensor | None = None) -> Tensor:
    x = x * x.shape[-1] ** -0.25
    projected = x @ features.T
    largest = projected.detach().amax(-1, keepdim=True)
    if keys is not None:
        largest = largest.masked_fill(~keys, -torch.inf).amax(2, keepdim=True)
    shift = x.square().sum(-1, keepdim=True) / 2 + largest
    if keys is not None:
        shift = shift.masked_fill(~keys, torch.inf)  # padding must not overflow
    return projected.sub_(shift).exp_() + _EPSILON  # in place: these are the largest tensors of the network


class LinearLayer(Layer):
    """:class:`Layer` with linear attention of D log D random features a head, which are drawn once.

    Parameters
    ----------
    width, n_heads, dropout
        As in :class:`Layer`.
    """

    features: Tensor

    def __init__(self, width: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__(width, n_heads, dropout)
        head = width // n_heads
        self.register_buffer("features", random_features(max(int(head * math.log(head)), 1), head))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, query_lengths: Tensor | None) -> Tensor:
        return linear_attention(q, k, v, self.features, lengths)
