"""A multilayer perceptron and its training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import nn

from scgx.nn._error import masked_error


@dataclass(frozen=True)
class Network:
    """Shape of a multilayer perceptron and how it is trained; see :class:`scgx.estimators.MLP`."""

    hidden: tuple[int, ...]
    dropout: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    seed: int

    def choose_epochs(
        self,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        max_epochs: int,
        patience: int,
    ) -> int:
        """Number of epochs with the least held-out error, given sources and targets of both parts."""
        x, y = (torch.from_numpy(part) for part in test)
        best, chosen = np.inf, 1
        with torch.random.fork_rng(devices=[]):
            for epoch, network in enumerate(self._epochs(*train), start=1):
                network.eval()
                with torch.no_grad():
                    error = float(masked_error(network(x), y))
                if error < best:
                    best, chosen = error, epoch
                if epoch == max_epochs or epoch - chosen == patience:
                    break
        return chosen

    def train(self, x: np.ndarray, y: np.ndarray, *, n_epochs: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Weights (units × inputs) and biases of each layer after ``n_epochs``."""
        with torch.random.fork_rng(devices=[]):
            *_, network = islice(self._epochs(x, y), n_epochs)
        layers = [layer for layer in network if isinstance(layer, nn.Linear)]
        return [layer.weight.detach().numpy() for layer in layers], [layer.bias.detach().numpy() for layer in layers]

    def _epochs(self, x: np.ndarray, y: np.ndarray) -> Iterator[nn.Sequential]:
        """Train without end; the network after each epoch."""
        torch.default_generator.manual_seed(self.seed)
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
        network = self._network(x.shape[1], y.shape[1])
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        while True:
            network.train()
            for rows in torch.randperm(len(inputs)).split(self.batch_size):
                optimizer.zero_grad()
                masked_error(network(inputs[rows]), targets[rows]).backward()
                optimizer.step()
            yield network

    def _network(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        sizes = (n_inputs, *self.hidden)
        layers: list[nn.Module] = []
        for size, next_size in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(size, next_size), nn.GELU(), nn.Dropout(self.dropout)]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))
