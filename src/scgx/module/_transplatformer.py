from __future__ import annotations

import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor

from scgx.nn import TransPlatformer, TransPlatformerConfig, masked_error

#: names of source and target in a batch
SOURCE, TARGET = "X", "target"


class TransPlatformerModule(BaseModuleClass):
    """:class:`scgx.nn.TransPlatformer` between standardised source and scaled target values.

    Parameters
    ----------
    config
        Sizes of the network.

    Notes
    -----
    Source genes are standardised; targets are centred a gene and divided by one standard deviation for all genes. NaN is a
    value not measured: in the source it counts as the gene's mean, in the target it is left out of the loss.
    """

    def __init__(self, config: TransPlatformerConfig) -> None:
        super().__init__()
        self.network = TransPlatformer(config)
        self.register_buffer("source_center", torch.zeros(config.n_source))
        self.register_buffer("source_scale", torch.ones(config.n_source))
        self.register_buffer("target_center", torch.zeros(config.n_target))
        self.register_buffer("target_scale", torch.ones(()))

    def set_scale(self, x: Tensor, y: Tensor) -> None:
        """Learn centres and scales from training rows ``x`` (rows × n) and ``y`` (rows × m), NaN allowed."""
        center = x.nanmean(0).nan_to_num()
        deviation = (x - center).square().nanmean(0).sqrt().nan_to_num()
        # float32 rounding leaves a constant gene with a tiny deviation; it must not be blown up to noise
        constant = deviation <= 1e-5 * center.abs().clamp(min=1e-6)
        self.source_center.copy_(center)
        self.source_scale.copy_(deviation.masked_fill(constant, torch.inf))
        self.target_center.copy_(y.nanmean(0).nan_to_num())
        spread = (y.to(self.device) - self.target_center).square().nanmean().sqrt().nan_to_num()
        self.target_scale.copy_(torch.where(spread > 0, spread, 1.0))

    def translate(self, x: Tensor) -> Tensor:
        """Target values (rows × m) of source values ``x`` (rows × n, NaN where not measured)."""
        return self.network(self._standardised(x)) * self.target_scale + self.target_center

    def attention(self, x: Tensor) -> Tensor:
        """Attention that each source gene gets, rows × n; see :meth:`scgx.nn.TransPlatformer.attention`."""
        return self.network.attention(self._standardised(x))

    def inference(self, x: Tensor) -> dict[str, Tensor]:
        """Scaled prediction."""
        return {"scaled": self.network(self._standardised(x))}

    def generative(self) -> dict[str, Tensor]:
        """Nothing: the network is no generative model."""
        return {}

    def loss(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor], generative_outputs: dict[str, Tensor]
    ) -> LossOutput:
        """Squared error over the measured targets, in units of their variance; of each row as ``reconstruction_loss``."""
        predicted, target = inference_outputs["scaled"], (tensors[TARGET] - self.target_center) / self.target_scale
        measured = torch.isfinite(target)
        squared = torch.where(measured, predicted - target, 0.0).square()
        by_row = squared.sum(1) / measured.sum(1).clamp(min=1)
        return LossOutput(loss=masked_error(predicted, target), reconstruction_loss=by_row)

    def _get_inference_input(self, tensors: dict[str, Tensor], full_forward_pass: bool = True) -> dict[str, Tensor]:
        return {"x": tensors[SOURCE]}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return {}

    def _standardised(self, x: Tensor) -> Tensor:
        return (x - self.source_center) / self.source_scale
