from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from scgx.nn._drugbert import DrugBERT


class ConditionRows(nn.Module):
    """:class:`DrugBERT` as a network of rows of numbers, as :class:`Training` wants it: changes from control and condition.

    Parameters
    ----------
    network
        Its scale set.
    """

    def __init__(self, network: DrugBERT) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Changes, rows × g, of rows that :func:`condition_rows` packed."""
        config = self.network.config
        control, bits, line, log_dose = x.split([config.n_genes, config.n_bits, 1, 1], dim=1)
        return self.network(control, condition=(bits, line[:, 0].to(torch.int64), log_dose[:, 0]))[0]


def condition_rows(control: np.ndarray, bits: np.ndarray, line: np.ndarray, log_dose: np.ndarray) -> np.ndarray:
    """Control profile, fingerprint, number of the line (−1: unknown) and log10 dose, one row a condition, float32."""
    return np.hstack([control, bits, line[:, None], log_dose[:, None]]).astype(np.float32)
