"""From what was read to a change of every gene: attention of genes, and the paper's perceptron and LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.nn._drugbert_config import DrugBERTConfig
from scgx.nn._drugbert_encoders import normal, transformer
from scgx.nn._perceptron import perceptron


class AttentionDecoder(nn.Module):
    r"""Each gene reads tokens with a query of its own, and what it read with weights of its own; genes have no order.

    :math:`\hat y_g = r_g \cdot \text{concat}_h \sum_m \text{softmax}_m(q_{gh} \cdot k_{mh} / \sqrt{w_h}) \, v_{mh} + b_g`
    over five tokens m, the sum of all vectors, the encoder's first token, drug, line and dose, which have read each other in
    one transformer layer. As queries do not depend on the row and nothing follows but r, no vector of a gene in a row is held.
    """

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        w = config.width
        self.n_heads = config.n_heads
        self.kind = normal(5, w, w**-0.5)
        self.mix = transformer(config, 1)
        self.key, self.value = nn.Linear(w, w), nn.Linear(w, w)
        self.query_of_gene = normal(config.n_genes, w, 1.0)
        self.readout_of_gene = normal(config.n_genes, w, 0.1 * w**-0.5)

    def forward(self, tokens: Tensor, condition: Tensor, together: Tensor) -> Tensor:
        """Values, rows × g, given the encoder's tokens, vectors of the condition (rows × 3 × w), and the sum (rows × w)."""
        memory = self.mix(torch.cat([together[:, None], tokens[:, :1], condition], dim=1) + self.kind)
        k, v = (self._heads(x.flatten(0, 1)) for x in (self.key(memory), self.value(memory)))
        q, r = (self._heads(x).mT for x in (self.query_of_gene, self.readout_of_gene))
        # heads × rows × tokens × g: the softmax runs over a dimension that is not the last, which is far faster on a CPU
        shape = (self.n_heads, *memory.shape[:2], -1)
        weight = torch.softmax((k @ q).view(shape) * k.shape[-1] ** -0.5, dim=2)
        return (weight * (v @ r).view(shape)).sum(dim=(0, 2))

    def _heads(self, x: Tensor) -> Tensor:
        """Heads × rows × channels of a head."""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(0, 1)


class PerceptronDecoder(nn.Module):
    """A perceptron on the sum of all vectors: the paper's ablation."""

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        w = config.width
        self.hidden = perceptron(w, 2 * w, hidden=(2 * w,), dropout=config.dropout)
        self.readout_of_gene = normal(config.n_genes, 2 * w, 0.1 * w**-0.5)

    def forward(self, tokens: Tensor, condition: Tensor, together: Tensor) -> Tensor:
        """See :meth:`AttentionDecoder.forward`."""
        return F.gelu(self.hidden(together)) @ self.readout_of_gene.T


class LSTMDecoder(nn.Module):
    """The paper's: one gene after the other, from the sum of all vectors and a vector of the gene. Its order is arbitrary."""

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        w = config.width
        self.vector_of_gene = normal(config.n_genes, w, w**-0.5)
        self.cell = nn.LSTM(w, w, batch_first=True)
        self.readout = nn.Linear(w, 1)

    def forward(self, tokens: Tensor, condition: Tensor, together: Tensor) -> Tensor:
        """See :meth:`AttentionDecoder.forward`."""
        states, _ = self.cell(together[:, None] + self.vector_of_gene)
        return self.readout(states)[..., 0]


DECODERS: dict[str, type[AttentionDecoder | PerceptronDecoder | LSTMDecoder]] = {
    "attention": AttentionDecoder,
    "mlp": PerceptronDecoder,
    "lstm": LSTMDecoder,
}
