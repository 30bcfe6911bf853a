"""Attention whose cost grows with the number of tokens and not with its square: the Performer's form."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from scgx.nn._xtrimogene_attention import Layer


def random_features(n_features: int, width: int) -> Tensor:
    """Random directions, features × width, orthogonal within each block of ``width``; norms as of normal vectors."""
    blocks = [torch.linalg.qr(torch.randn(width, width)).Q.T for _ in range(-(-n_features // width))]
    directions = torch.cat(blocks)[:n_features]
    return directions * torch.randn(n_features, width).norm(dim=1, keepdim=True)


def linear_attention(q: Tensor, k: Tensor, v: Tensor, features: Tensor, lengths: Tensor) -> Tensor:
    """φ(q) (φ(k)ᵀ v) / (φ(q) Σ φ(k)) with φ(x) = ReLU(F x / √D^½) + 0.001.

    This is the generalised attention of Choromanski et al. (Performer, 2021); unlike their softmax kernel it needs no
    maximum over all keys.

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
    scaled = features * features.shape[1] ** -0.25
    phi_q, phi_k = (F.relu(x @ scaled.T) + 1e-3 for x in (q, k))
    there = torch.arange(k.shape[2], device=k.device) < lengths[:, None]
    phi_k = phi_k * there[:, None, :, None]
    total = phi_k.sum(2, keepdim=True).transpose(2, 3)  # batch × heads × features × 1
    return phi_q @ (phi_k.transpose(2, 3) @ v) / (phi_q @ total)


class LinearLayer(Layer):
    """:class:`Layer` with linear attention.

    Parameters
    ----------
    width, n_heads, dropout
        As in :class:`Layer`.
    n_features
        Random features a head.
    """

    features: Tensor

    def __init__(self, width: int, n_heads: int, dropout: float = 0.0, n_features: int = 64) -> None:
        super().__init__(width, n_heads, dropout)
        self.register_buffer("features", random_features(n_features, width // n_heads))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Tensor, query_lengths: Tensor | None) -> Tensor:
        return linear_attention(q, k, v, self.features, lengths)
