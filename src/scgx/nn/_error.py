from __future__ import annotations

import torch
from torch import Tensor


def masked_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the measured targets; NaN in ``target`` is not measured."""
    measured = torch.isfinite(target)
    residual = torch.where(measured, predicted - target, 0.0)
    return residual.square().sum() / measured.sum().clamp(min=1)
