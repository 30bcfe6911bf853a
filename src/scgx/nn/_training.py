"""Training of a network from source to target values, for as many epochs as left-out rows want."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from scgx.nn._error import masked_error

_EVALUATION_ROWS = 256


@dataclass(frozen=True)
class Training:
    """Adam with decoupled weight decay, on the squared error over measured targets if no other loss is given.

    Attributes
    ----------
    make
        Gives a fresh network from source (batch × n) to target values (batch × m); it may draw its weights from torch's
        global generator, which is seeded for it and put back after training.
    learning_rate, weight_decay
        Of Adam.
    batch_size
        Rows a step.
    seed
        Seed of weights, batches and whatever the network draws.
    loss
        Of predicted and measured targets, to train on, ``None`` for the squared error; the number of epochs is chosen by squared error in any case.
    """

    make: Callable[[], nn.Module]
    learning_rate: float
    weight_decay: float
    batch_size: int
    seed: int
    loss: Callable[[Tensor, Tensor], Tensor] | None = None

    def choose_epochs(
        self,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        max_epochs: int,
        patience: int,
    ) -> int:
        """Number of epochs with the least held-out error, given sources and targets of both parts.

        Training stops after ``patience`` epochs without a better error.
        """
        x, y = test[0], torch.from_numpy(test[1])
        best, chosen = np.inf, 1
        with torch.random.fork_rng(devices=[]):
            for epoch, network in enumerate(self._epochs(*train, max_epochs, "choosing epochs"), start=1):
                error = float(masked_error(torch.from_numpy(predict_rows(network, x)), y))
                if error < best:
                    best, chosen = error, epoch
                if epoch - chosen == patience:
                    break
        return chosen

    def train(self, x: np.ndarray, y: np.ndarray, *, n_epochs: int) -> nn.Module:
        """The network, ready to predict, after ``n_epochs`` on sources ``x`` (n × p) and targets ``y`` (n × m, NaN for gaps)."""
        with torch.random.fork_rng(devices=[]):
            *_, network = self._epochs(x, y, n_epochs, "training")
        return network.eval()

    def _epochs(self, x: np.ndarray, y: np.ndarray, n_epochs: int, what: str) -> Iterator[nn.Module]:
        """The network after each epoch."""
        torch.default_generator.manual_seed(self.seed)
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
        network = self.make()
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        for _ in tqdm(range(n_epochs), desc=what, unit="epoch", delay=2, leave=False):
            network.train()
            for rows in torch.randperm(len(inputs)).split(self.batch_size):
                self._step(network, optimizer, inputs[rows], targets[rows])
            yield network

    def _step(self, network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        predicted = network(x, y) if getattr(network, "reads_targets", False) else network(x)
        (self.loss or masked_error)(predicted, y).backward()
        optimizer.step()


def predict_rows(network: nn.Module, x: np.ndarray) -> np.ndarray:
    """What ``network`` gives for the rows of ``x``, some rows at a time; it is left in evaluation mode."""
    network.eval()
    with torch.no_grad():
        blocks = [network(block).numpy() for block in torch.from_numpy(x).split(_EVALUATION_ROWS)]
    return np.concatenate(blocks)
