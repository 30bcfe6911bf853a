"""From encoded cells to a vector at each gene asked for: the paper's decoder over all genes, and two over those alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.nn._xtrimogene_attention import Layer
from scgx.nn._xtrimogene_config import XTrimoGeneConfig
from scgx.nn._xtrimogene_encoder import Encoded, pool
from scgx.nn._xtrimogene_linear_attention import LinearLayer


class Decoder(nn.Module):
    """What decoders share: a token is W_p (state ⊕ e_g) + b_p, with a state from the encoder, of a zero or of a mask (eq. 3).

    W_p is kept in two parts, so that the part of a gene is computed once and not in each cell.

    Parameters
    ----------
    config
        Sizes and choices.
    """

    layer: type[Layer] = Layer

    def __init__(self, config: XTrimoGeneConfig) -> None:
        super().__init__()
        size = config.size
        self.state = nn.Linear(size.width, size.decoder_width)
        self.gene = nn.Linear(size.width, size.decoder_width, bias=False)
        self.masked = nn.Parameter(size.width**-0.5 * torch.randn(size.width))
        layers = (
            self.layer(size.decoder_width, size.decoder_heads, config.dropout) for _ in range(size.decoder_layers)
        )
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(size.decoder_width)

    def forward(
        self, table: nn.Embedding, encoded: Encoded, genes: Tensor, lengths: Tensor, *, observed: bool = False
    ) -> Tensor:
        """Vectors of the genes asked for, cells × T × decoder width.

        Parameters
        ----------
        table
            Gene embeddings.
        encoded
            Cells.
        genes
            Genes asked for, cells × T.
        lengths
            How many of them each cell asks for; those behind are padding.
        observed
            They were measured, and are zero where the cell does not express them; else they are hidden. Only the decoder
            over all genes can tell the difference.
        """
        raise NotImplementedError

    def memory(self, encoded: Encoded) -> Tensor:
        """The encoder's tokens at the decoder's width, each with its gene."""
        return self.state(encoded.tokens) + F.pad(self.gene(encoded.embedded), (0, 0, encoded.n_extra, 0))


class SparseDecoder(Decoder):
    """What decoders over the genes asked for alone share.

    Their queries start from the mask, the gene, and the product of gene and cell (the mean of the encoder's tokens), channel by
    channel. Without this product attention has to find out by itself which genes go together, and on small data it
    stays for thousands of steps at what a gene's mean predicts.
    """

    def __init__(self, config: XTrimoGeneConfig) -> None:
        super().__init__(config)
        size = config.size
        self.cell = nn.Linear(size.width, size.decoder_width)
        self.match = nn.Linear(size.width, size.decoder_width, bias=False)
        nn.init.normal_(self.match.weight)  # gene embeddings have a length of about 1
        self.cell.weight.data.copy_(self.match.weight)  # so that the products of similar vectors are positive

    def queries(self, table: nn.Embedding, encoded: Encoded, genes: Tensor) -> Tensor:
        """First vectors of the genes asked for, cells × T × decoder width."""
        of_gene = table(genes)
        product = self.match(of_gene) * self.cell(pool(encoded, "mean"))[:, None]
        return self.state(self.masked) + self.gene(of_gene) + product


class CrossDecoder(SparseDecoder):
    """Each gene asked for reads the encoder's tokens; it neither reads nor depends on others that are asked for."""

    def forward(
        self, table: nn.Embedding, encoded: Encoded, genes: Tensor, lengths: Tensor, *, observed: bool = False
    ) -> Tensor:
        """See :meth:`Decoder.forward`."""
        memory = self.memory(encoded)
        x = self.queries(table, encoded, genes)
        for layer in self.layers:
            x = layer(x, encoded.lengths, memory)
        return self.norm(x)


class SelfDecoder(SparseDecoder):
    """The encoder's tokens and the genes asked for read each other, so that an answer depends on all that is asked."""

    def forward(
        self, table: nn.Embedding, encoded: Encoded, genes: Tensor, lengths: Tensor, *, observed: bool = False
    ) -> Tensor:
        """See :meth:`Decoder.forward`."""
        memory = self.memory(encoded)
        x = torch.cat([memory, self.queries(table, encoded, genes)], 1)
        # padding goes behind both: a cell's tokens must be one stretch
        start = encoded.lengths[:, None]
        at = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        order = torch.where(at < start, at, at - start + memory.shape[1]) % x.shape[1]
        x = x.gather(1, order[..., None].expand_as(x))
        for layer in self.layers:
            x = layer(x, encoded.lengths + lengths)
        back = start + torch.arange(genes.shape[1], device=x.device)
        return self.norm(x.gather(1, back[..., None].expand(-1, -1, x.shape[2])))


class LinearDecoder(Decoder):
    """The paper's: linear attention over all genes of the vocabulary, zeros included (section 3.2)."""

    layer = LinearLayer

    def __init__(self, config: XTrimoGeneConfig) -> None:
        super().__init__(config)
        self.zero = nn.Parameter(config.size.width**-0.5 * torch.randn(config.size.width))

    def forward(
        self, table: nn.Embedding, encoded: Encoded, genes: Tensor, lengths: Tensor, *, observed: bool = False
    ) -> Tensor:
        """See :meth:`Decoder.forward`."""
        n_cells, n_genes, n_extra = len(genes), table.num_embeddings, encoded.n_extra
        tokens = self.state(encoded.tokens)
        state = self.state(self.zero).expand(n_cells, n_genes, -1).clone()
        if not observed:
            asked = torch.arange(genes.shape[1], device=genes.device) < lengths[:, None]
            state[asked.nonzero()[:, 0], genes[asked]] = self.state(self.masked).to(state.dtype)
        state[encoded.there.nonzero()[:, 0], encoded.genes[encoded.there]] = tokens[:, n_extra:][encoded.there]
        x = torch.cat([tokens[:, :n_extra], state + self.gene(table.weight)], 1)
        everything = torch.full_like(lengths, x.shape[1])
        for layer in self.layers:
            x = layer(x, everything)
        return self.norm(x.gather(1, (n_extra + genes)[..., None].expand(-1, -1, x.shape[2])))


DECODERS: dict[str, type[Decoder]] = {"cross": CrossDecoder, "self": SelfDecoder, "linear": LinearDecoder}
