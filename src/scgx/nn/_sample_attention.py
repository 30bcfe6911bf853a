"""Attention of a query sample over training samples, with learned gene weights and closed-form values."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SampleAttention(nn.Module):
    """Kernel regression whose kernels are learned.

    Head h weighs genes, u = x ⊙ exp(w_h) / √p, and compares samples by K = e^{a_h} u u′ᵀ + e^{b_h} exp(−e^{c_h} ‖u −
    u′‖²). Its prediction from the support (training) samples is K_qs (K_ss + e^{d_h} I)⁻¹ Y_s: attention with values
    in closed form. Target g mixes the heads with weights softmax(β_g).

    Parameters
    ----------
    log_weights
        First gene weights w, heads × p.
    n_targets
        Number of target genes m.
    generator
        Draws the first mixing weights.
    """

    def __init__(self, log_weights: Tensor, n_targets: int, generator: torch.Generator) -> None:
        super().__init__()
        n_heads = len(log_weights)
        self.log_weights = nn.Parameter(log_weights)
        self.linear = nn.Parameter(torch.full((n_heads,), -2.0))
        self.smooth = nn.Parameter(torch.zeros(n_heads))
        self.width = nn.Parameter(torch.full((n_heads,), 0.3).log())
        # heads start with different amounts of shrinkage
        self.penalty = nn.Parameter(torch.linspace(-1.5, 0.5, n_heads))
        self.mixing = nn.Parameter(0.1 * torch.randn(n_heads, n_targets, generator=generator))

    def kernels(self, a: Tensor, b: Tensor) -> Tensor:
        """Similarity of samples ``a`` (k × p) and ``b`` (n × p) in each head, heads × k × n."""
        weights = self.log_weights.exp()[:, None] / a.shape[1] ** 0.5
        u, v = a * weights, b * weights
        products = u @ v.transpose(1, 2)
        distances = u.square().sum(2)[:, :, None] + v.square().sum(2)[:, None] - 2 * products
        smooth = (-self.width.exp()[:, None, None] * distances.clamp(min=0)).exp()
        return self.linear.exp()[:, None, None] * products + self.smooth.exp()[:, None, None] * smooth

    def factors(self, support: Tensor) -> Tensor:
        """Lower Cholesky factors of K_ss + e^d I, heads × n × n."""
        ridge = self.penalty.exp()[:, None, None] * torch.eye(len(support), dtype=support.dtype, device=support.device)
        return torch.linalg.cholesky(self.kernels(support, support) + ridge)

    def forward(self, query: Tensor, support: Tensor, targets: Tensor, columns: Tensor) -> Tensor:
        """Prediction of ``query`` (k × p) from ``support`` (n × p) for the target genes ``columns``, k × columns.

        ``targets`` (n × columns) are centred.
        """
        # there are fewer queries than targets: solving for the attention is cheaper than for the values
        attention = torch.cholesky_solve(self.kernels(support, query), self.factors(support))
        heads = attention.transpose(1, 2) @ targets
        return (self.mixing[:, columns].softmax(0)[:, None] * heads).sum(0)
