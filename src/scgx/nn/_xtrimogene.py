"""xTrimoGene: a full encoder over expressed genes, a light decoder over those to predict."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scgx.nn._xtrimogene_config import XTrimoGeneConfig
from scgx.nn._xtrimogene_decoders import DECODERS
from scgx.nn._xtrimogene_encoder import Encoded, Encoder
from scgx.nn._xtrimogene_heads import HEADS


class XTrimoGene(nn.Module):
    """Asymmetric encoder and decoder of Gong et al. (NeurIPS 2023).

    A batch is a dictionary: ``genes`` and ``values`` of the expressed, visible genes (cells × L, padded behind ``lengths``),
    ``unit`` (the value of one count, cells), ``metadata`` (cells × columns, 0 unknown).

    Parameters
    ----------
    config
        Sizes and choices.
    """

    def __init__(self, config: XTrimoGeneConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = DECODERS[config.decoder](config)
        self.head = HEADS[config.objective](config.n_genes, config.size.decoder_width)

    def forward(self, batch: dict[str, Tensor], genes: Tensor, lengths: Tensor) -> Tensor:
        """Outputs of the head at hidden genes (cells × T, of which ``lengths`` count)."""
        hidden = self.decode(self.encoder(batch), genes, lengths)
        return self.head(hidden, genes, self.offset(batch))

    def decode(self, encoded: Encoded, genes: Tensor, lengths: Tensor, *, observed: bool = False) -> Tensor:
        """Vectors of genes, cells × T × decoder width; see :meth:`scgx.nn._xtrimogene_decoders.Decoder.forward`."""
        return self.decoder(self.encoder.gene, encoded, genes, lengths, observed=observed)

    def offset(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean deviation of each cell's visible values from the means of their genes over expressing cells."""
        at = torch.arange(batch["genes"].shape[1], device=batch["genes"].device)
        there = at < batch["lengths"][:, None]
        deviation = (batch["values"] - self.head.value[batch["genes"]]).masked_fill(~there, 0)
        return deviation.sum(1) / batch["lengths"].clamp(min=1)
