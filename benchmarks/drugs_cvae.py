"""A small conditional variational autoencoder, a rival of the paper: cells given fingerprint, line and dose."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

BETA, BATCH, LATENT = 0.1, 128, 16


class ConditionalVAE(nn.Module):
    """q(z | x, c) and p(x | z, c), normal with unit variance; c is projected to as many channels as x is.

    Parameters
    ----------
    n_genes, n_condition
        Genes, and numbers that say what was done.
    width
        Channels of the hidden layers.
    """

    def __init__(self, n_genes: int, n_condition: int, width: int) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(n_condition, width), nn.GELU(), nn.Dropout(0.1))
        self.encoder = nn.Sequential(nn.Linear(n_genes + width, width), nn.GELU(), nn.Linear(width, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT + width, width), nn.GELU(), nn.Linear(width, n_genes))

    def forward(self, x: Tensor, condition: Tensor, other: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Cells decoded under ``other`` (``None``: the same) condition, and the Kullback–Leibler term."""
        c = self.condition(condition)
        mean, log_variance = self.encoder(torch.cat([x, c], dim=1)).chunk(2, dim=1)
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        z = mean + noise * torch.exp(0.5 * log_variance)
        term = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        told = c if other is None else self.condition(other)
        return self.decoder(torch.cat([z, told], dim=1)), term


def one_epoch(model: ConditionalVAE, optimizer: torch.optim.Optimizer, x: Tensor, condition: Tensor) -> None:
    """Train on all rows once."""
    model.train()
    for rows in torch.randperm(len(x)).split(BATCH):
        decoded, term = model(x[rows], condition[rows])
        loss = (decoded - x[rows]).square().sum(1).mean() / x.shape[1] + BETA * term / x.shape[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fit_cvae(
    x: np.ndarray, condition: np.ndarray, held_out: np.ndarray, *, width: int, max_epochs: int, seed: int
) -> tuple[ConditionalVAE, int]:
    """The network of the epoch that decodes held-out rows best, and its number, at most ``max_epochs``."""
    cells, told, rest = torch.from_numpy(x), torch.from_numpy(condition), torch.from_numpy(~held_out)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = ConditionalVAE(x.shape[1], condition.shape[1], width)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        best, chosen, kept = np.inf, 0, model
        for epoch in range(1, max_epochs + 1):
            one_epoch(model, optimizer, cells[rest], told[rest])
            model.eval()
            with torch.no_grad():
                error = float((model(cells[~rest], told[~rest])[0] - cells[~rest]).square().mean())
            if error < best:
                best, chosen, kept = error, epoch, deepcopy(model)
            elif epoch - chosen == 5:
                break
    return kept, chosen


@torch.no_grad()
def treated(model: ConditionalVAE, controls: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Control cells (n × g), encoded as controls and decoded as treated (one condition each)."""
    model.eval()
    rows = [torch.from_numpy(np.tile(one, (len(controls), 1))) for one in (before, after)]
    return model(torch.from_numpy(controls), *rows)[0].numpy()
