"""What DrugBERT reads: a profile of changes, partly hidden, the control it started from, and what was done."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scgx.nn._drugbert_config import DrugBERTConfig
from scgx.nn._perceptron import perceptron

#: condition of rows: fingerprint (rows × bits), number of the line (−1: unknown), log10 dose
Condition = tuple[Tensor, Tensor, Tensor]


def normal(rows: int, width: int, spread: float) -> nn.Parameter:
    """Random weights."""
    return nn.Parameter(spread * torch.randn(rows, width))


def transformer(config: DrugBERTConfig, depth: int) -> nn.TransformerEncoder:
    """Layers that normalise before attention and before the perceptron."""
    layer = nn.TransformerEncoderLayer(
        config.width,
        config.n_heads,
        4 * config.width,
        config.dropout,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    return nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(config.width), enable_nested_tensor=False)


class ProfileEncoder(nn.Module):
    """One vector a profile: a linear map of visible changes, of what is hidden, and of the control; then layers (the paper).

    Parameters whose name ends in ``of_gene`` have a row a gene.
    """

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        spread = config.n_genes**-0.5
        self.change_of_gene = normal(config.n_genes, config.width, spread)
        self.hidden_of_gene = normal(config.n_genes, config.width, 0.1 * spread)
        self.control_of_gene = normal(config.n_genes, config.width, spread)
        self.layers = transformer(config, config.depth)

    def forward(self, control: Tensor, change: Tensor, hidden: Tensor) -> Tensor:
        """Tokens, rows × 1 × w, of standardised values; changes where ``hidden`` are not read."""
        visible = change.masked_fill(hidden, 0) @ self.change_of_gene
        x = visible + hidden.to(control) @ self.hidden_of_gene + control @ self.control_of_gene
        return self.layers(x[:, None])


class GeneEncoder(nn.Module):
    """A token a gene, e_g + x_g v + c_g u with change x (a learned vector where hidden) and control c, and one for the cell."""

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        self.vector_of_gene = normal(config.n_genes, config.width, config.width**-0.5)
        self.change, self.control, self.masked, self.start = (
            nn.Parameter(config.width**-0.5 * torch.randn(config.width)) for _ in range(4)
        )
        self.layers = transformer(config, config.depth)

    def forward(self, control: Tensor, change: Tensor, hidden: Tensor) -> Tensor:
        """Tokens, rows × (1 + g) × w, the cell's first."""
        value = torch.where(hidden[..., None], self.masked, change.masked_fill(hidden, 0)[..., None] * self.change)
        tokens = self.vector_of_gene + value + control[..., None] * self.control
        return self.layers(torch.cat([self.start.expand(len(tokens), 1, -1), tokens], dim=1))


class ConditionEncoder(nn.Module):
    """Vectors of drug, cell line and dose, by perceptrons and a table.

    A fingerprint is scaled to length 1, so that its products with others are cosines, and is the same whether a drug was
    given to wells or to single cells.
    """

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        w = config.width
        self.bits = nn.Dropout(config.dropout)
        first = nn.Linear(config.n_bits, 2 * w)
        nn.init.normal_(first.weight)  # for inputs of length 1
        self.drug = nn.Sequential(first, nn.GELU(), nn.Dropout(config.dropout), nn.Linear(2 * w, w))
        self.vector_of_line = normal(len(config.lines), w, w**-0.5)
        self.dose = perceptron(1, w, hidden=(w,), dropout=0.0)

    def forward(self, condition: Condition) -> Tensor:
        """Vectors of drug, line and dose, rows × 3 × w; zeros for an unknown line."""
        drug, line, log_dose = condition
        bits = self.bits(nn.functional.normalize(drug, dim=1))
        known = (line >= 0)[:, None]
        vector = torch.where(known, self.vector_of_line[line.clamp(min=0)], 0.0)
        return torch.stack([self.drug(bits), vector, self.dose(log_dose[:, None])], dim=1)


ENCODERS: dict[str, type[ProfileEncoder | GeneEncoder]] = {"profile": ProfileEncoder, "genes": GeneEncoder}
