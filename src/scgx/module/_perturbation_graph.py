from __future__ import annotations

import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor

from scgx.nn import PerturbationGraph, perturbation_loss

#: names of control profile, perturbations and change in a batch
CONTROL, APPLIED, CHANGE = "X", "applied", "change"


class PerturbationGraphModule(BaseModuleClass):
    """:class:`scgx.nn.PerturbationGraph` with the loss of GEARS, in units of the size of changes.

    Parameters
    ----------
    network
        Connected, its scale set.
    focus, direction
        See :func:`scgx.nn.perturbation_loss`.
    """

    def __init__(self, network: PerturbationGraph, *, focus: float, direction: float) -> None:
        super().__init__()
        self.network, self.focus, self.direction = network, focus, direction

    def inference(self, x: Tensor) -> dict[str, Tensor]:
        """Predicted changes."""
        return {"change": self.network(x)}

    def generative(self) -> dict[str, Tensor]:
        """Nothing: the network is no generative model."""
        return {}

    def loss(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor], generative_outputs: dict[str, Tensor]
    ) -> LossOutput:
        """Loss of GEARS while training; on validation rows the squared error, of each row as ``reconstruction_loss``."""
        predicted, measured = (x / self.network.scale for x in (inference_outputs["change"], tensors[CHANGE]))
        options = {"focus": self.focus, "direction": self.direction} if self.training else {"focus": 0, "direction": 0}
        by_row = perturbation_loss(predicted, measured, **options)
        return LossOutput(loss=by_row.mean(), reconstruction_loss=by_row)

    def _get_inference_input(self, tensors: dict[str, Tensor], full_forward_pass: bool = True) -> dict[str, Tensor]:
        return {"x": torch.cat([tensors[CONTROL], tensors[APPLIED]], dim=1)}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return {}
