from __future__ import annotations

import torch
from torch import Tensor


def perturbation_loss(
    predicted: Tensor, measured: Tensor, *, focus: float = 2.0, direction: float = 0.1, softness: float = 0.1
) -> Tensor:
    r"""Autofocus and direction-aware loss of GEARS on changes against control, one a row.

    :math:`\frac1m \sum_g |\hat d_g - d_g|^{2 + \gamma} + \frac{\lambda}{m} \sum_g (\text{sign} \, d_g - \tanh(\hat d_g /
    \tau))^2`: the exponent weighs genes that are far off, the second term wants the right sign. GEARS has
    :math:`\text{sign} \, \hat d_g` (τ → 0), whose gradient is 0 wherever it has one: as published, the second term trains
    nothing.

    Parameters
    ----------
    predicted, measured
        Changes :math:`\hat d` and d, rows × genes (m).
    focus
        γ; 0 is the squared error.
    direction
        λ.
    softness
        τ, in the unit of the changes; 0 is the sign itself.

    References
    ----------
    Roohani, Huang and Leskovec (2024), Nature Biotechnology: γ = 2, λ = 0.1.
    """
    sign = torch.sign(predicted) if softness == 0 else torch.tanh(predicted / softness)
    autofocus = (predicted - measured).abs().pow(2 + focus).mean(1)
    return autofocus + direction * (torch.sign(measured) - sign).square().mean(1)
