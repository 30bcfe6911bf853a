from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scgx.nn._xtrimogene_attention import Layer
from scgx.nn._xtrimogene_config import XTrimoGeneConfig
from scgx.nn._xtrimogene_values import value_embedding


@dataclass(frozen=True)
class Encoded:
    """Cells as the encoder gives them."""

    tokens: Tensor
    """cells × (extra tokens, then expressed genes) × width."""
    genes: Tensor
    """Genes of the tokens behind the extra ones, cells × L."""
    embedded: Tensor
    """Embeddings of these genes: another look-up would cost another dense gradient of the whole table."""
    lengths: Tensor
    """Tokens of each cell, extra ones counted."""

    @property
    def n_extra(self) -> int:
        """Tokens in front that are no genes: depth and metadata."""
        return self.tokens.shape[1] - self.genes.shape[1]

    @property
    def there(self) -> Tensor:
        """Which tokens are expressed genes and not padding, cells × L."""
        at = torch.arange(self.genes.shape[1], device=self.genes.device)
        return at < (self.lengths - self.n_extra)[:, None]


class Encoder(nn.Module):
    """Transformer over the visible, expressed genes of each cell (section 3.1).

    The token of gene g with value v is e_g + E(v). In front stand, if asked for, a token of sequencing depth and one a
    metadata column, whose category 0 means unknown.

    Parameters
    ----------
    config
        Sizes and choices.
    """

    def __init__(self, config: XTrimoGeneConfig) -> None:
        super().__init__()
        size = config.size
        self.gene = nn.Embedding(config.n_genes, size.width)
        self.value = value_embedding(config.embedding, size.width, config.n_bins)
        self.depth = nn.Linear(1, size.width) if config.depth else None
        self.metadata = nn.ModuleList(nn.Embedding(n + 1, size.width) for n in config.n_categories)
        self.layers = nn.ModuleList(Layer(size.width, size.n_heads, config.dropout) for _ in range(size.n_layers))
        self.norm = nn.LayerNorm(size.width)
        nn.init.normal_(self.gene.weight, std=size.width**-0.5)  # at 1, genes drown their values and move slowly

    def forward(self, batch: dict[str, Tensor]) -> Encoded:
        """Encode ``genes`` and ``values`` (cells × L, of which ``lengths`` count), ``unit`` (cells) and ``metadata``.

        ``unit`` is the value of a single count, the smallest a cell can have; it tells its sequencing depth.
        """
        tokens = [table(batch["metadata"][:, i])[:, None] for i, table in enumerate(self.metadata)]
        if self.depth is not None:
            tokens.append(self.depth(batch["unit"][:, None])[:, None])
        embedded = self.gene(batch["genes"])
        x = torch.cat([*tokens, embedded + self.value(batch["values"])], 1)
        lengths = batch["lengths"] + len(tokens)
        for layer in self.layers:
            x = layer(x, lengths)
        return Encoded(self.norm(x), batch["genes"], embedded, lengths)


def pool(encoded: Encoded, pooling: str) -> Tensor:
    """One vector a cell over its gene tokens: ``"mean"``, ``"max"`` (width each), or ``"both"`` (mean, then max)."""
    tokens, there = encoded.tokens[:, encoded.n_extra :], encoded.there[..., None]
    pooled = []
    if pooling in ("mean", "both"):
        pooled.append(tokens.masked_fill(~there, 0).sum(1) / there.sum(1).clamp(min=1))
    if pooling in ("max", "both"):
        pooled.append(tokens.masked_fill(~there, -torch.inf).amax(1))
    if not pooled:
        raise ValueError(f"`pooling` must be 'mean', 'max' or 'both'; found {pooling!r}.")
    return torch.cat(pooled, 1)
