"""How an expression value becomes a vector: auto-discretisation, and three fixed ways to bin (section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.nn._xtrimogene_config import ValueEmbedding


class AutoDiscretization(nn.Module):
    """A value as a soft choice of bins: e = T softmax(W₂ h + α h) with h = LeakyReLU(v w₁).

    Parameters
    ----------
    width
        Channels d of e.
    n_bins
        Bins b: T is d × b, w₁ is a vector of b, W₂ is b × b.
    """

    def __init__(self, width: int, n_bins: int) -> None:
        super().__init__()
        self.first = nn.Linear(1, n_bins, bias=False)
        self.mix = nn.Linear(n_bins, n_bins, bias=False)
        self.alpha = nn.Parameter(torch.ones(()))
        self.table = nn.Linear(n_bins, width, bias=False)
        nn.init.normal_(self.first.weight)  # close values must not all get the same bins
        nn.init.normal_(self.table.weight)

    def forward(self, values: Tensor) -> Tensor:
        """Vectors (… × d) of values (…)."""
        hidden = F.leaky_relu(self.first(values[..., None]))
        return self.table(torch.softmax(self.mix(hidden) + self.alpha * hidden, -1))


class BinEmbedding(nn.Module):
    """A value as the vector of its bin, on a log scale whose values rarely pass ``n_bins``.

    Parameters
    ----------
    width
        Channels.
    n_bins
        Bins; higher values share the last one.
    kind
        ``"round"``: nearest integer. ``"up"``: next integer, so that only zero is 0. ``"equal"``: bins that hold equally many
        of the training values, see :meth:`set_edges`.
    """

    edges: Tensor

    def __init__(self, width: int, n_bins: int, kind: ValueEmbedding) -> None:
        super().__init__()
        self.kind = kind
        self.table = nn.Embedding(n_bins, width)
        self.register_buffer("edges", torch.linspace(0, 10, n_bins + 1)[1:-1])

    def set_edges(self, values: Tensor) -> None:
        """Place the edges of ``"equal"`` bins at the quantiles of some values."""
        share = torch.linspace(0, 1, self.table.num_embeddings + 1)[1:-1]
        self.edges.copy_(torch.quantile(values.float(), share.to(values.device)))

    def forward(self, values: Tensor) -> Tensor:
        """Vectors (… × d) of values (…)."""
        if self.kind == "equal":
            bins = torch.bucketize(values.float(), self.edges.float())
        else:
            bins = (values.round() if self.kind == "round" else values.ceil()).long()
        return self.table(bins.clamp(0, self.table.num_embeddings - 1))


def value_embedding(kind: ValueEmbedding, width: int, n_bins: int) -> AutoDiscretization | BinEmbedding:
    """The embedding of this name."""
    return AutoDiscretization(width, n_bins) if kind == "auto" else BinEmbedding(width, n_bins, kind)
