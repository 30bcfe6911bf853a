"""An autoregressive transformer that reads genes as a sequence and writes genes one by one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_START = 12.0  # no standardised value lies there


class Seq2Seq(nn.Module):
    """Encoder over source genes, causal decoder over target genes; value g + 1 is written after values 1 … g.

    Each position is its value times a learned vector plus a learned position vector. The decoder begins with the value
    12, as in Cong et al. (2026). Attention costs n² + m² + n m a profile, and writing a profile takes m passes.

    Parameters
    ----------
    n_source, n_target
        Genes of the source (n) and the target panel (m).
    width, n_heads, n_layers
        Channels of a position, attention heads, layers of the encoder and of the decoder.
    dropout
        Share of activations left out at each training step.
    """

    #: training shows it the targets before each position
    reads_targets = True

    def __init__(
        self, n_source: int, n_target: int, *, width: int, n_heads: int, n_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.transformer = nn.Transformer(
            width, n_heads, n_layers, n_layers, 4 * width, dropout, activation="gelu", batch_first=True
        )
        self.read = nn.Linear(1, width)
        self.source_position = nn.Parameter(0.1 * torch.randn(n_source, width))
        self.target_position = nn.Parameter(0.1 * torch.randn(n_target, width))
        self.write = nn.Linear(width, 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Target values (batch × m) of source values ``x`` (batch × n).

        With ``y`` (batch × m, NaN for gaps, which count as 0) each value is predicted from those before it; without, from
        the network's own.
        """
        memory = self.transformer.encoder(self.read(x.nan_to_num()[..., None]) + self.source_position)
        start = torch.full((len(x), 1), _START, dtype=x.dtype, device=x.device)
        if y is not None:
            return self._decode(torch.cat([start, y.nan_to_num()[:, :-1]], dim=1), memory)
        written = start
        for _ in range(len(self.target_position)):
            written = torch.cat([written, self._decode(written, memory)[:, -1:]], dim=1)
        return written[:, 1:]

    def _decode(self, before: Tensor, memory: Tensor) -> Tensor:
        """Value at each position from those ``before`` it (batch × k, the start first)."""
        positions = self.read(before[..., None]) + self.target_position[: before.shape[1]]
        causal = nn.Transformer.generate_square_subsequent_mask(before.shape[1], device=before.device)
        return self.write(self.transformer.decoder(positions, memory, tgt_mask=causal, tgt_is_causal=True))[..., 0]
