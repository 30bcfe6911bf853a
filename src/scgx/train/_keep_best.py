from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lightning.pytorch.callbacks import Callback
from scvi.train import TrainingPlan

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from torch import Tensor


class KeepBest(Callback):
    """Leave the module with the weights of the epoch that had the least ``monitor``, not with the last ones."""

    def __init__(self, monitor: str = "validation_loss") -> None:
        self.monitor = monitor
        self.best = math.inf
        self._weights: dict[str, Tensor] | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: TrainingPlan) -> None:
        """Copy the weights if the epoch was the best so far."""
        value = float(trainer.callback_metrics[self.monitor])
        if value < self.best:
            self.best = value
            self._weights = {name: weight.clone() for name, weight in pl_module.module.state_dict().items()}

    def on_train_end(self, trainer: Trainer, pl_module: TrainingPlan) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            pl_module.module.load_state_dict(self._weights)
