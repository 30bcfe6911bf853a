"""Training of sample attention: each step predicts left-out groups from the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scgx.nn._error import masked_error
from scgx.nn._sample_attention import SampleAttention

_HELD_OUT = 0.25  # share of groups that an episode predicts
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Episodes:
    """How sample attention is trained; see :class:`scgx.estimators.SampleAttention`."""

    learning_rate: float
    max_rows: int
    max_targets: int

    def steps(
        self, network: SampleAttention, x: Tensor, y: Tensor, groups: np.ndarray, generator: torch.Generator
    ) -> Iterator[None]:
        """Train ``network`` without end on sources ``x`` (n × p) and centred targets ``y`` (n × m, NaN for gaps).

        One group alone gives no step: nothing can be left out.
        """
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        _, index = np.unique(groups, return_inverse=True)
        group = torch.from_numpy(index)
        n_groups = int(group.max()) + 1
        while n_groups > 1:
            rows = torch.randperm(len(x), generator=generator)[: self.max_rows]
            left_out = torch.randperm(n_groups, generator=generator)[: max(1, round(_HELD_OUT * n_groups))]
            query = torch.isin(group[rows], left_out)
            if query.all() or not query.any():
                continue
            columns = torch.randperm(y.shape[1], generator=generator)[: self.max_targets]
            support, asked = rows[~query], rows[query]
            optimizer.zero_grad()
            predicted = predict(network, x[asked], x[support], y[support][:, columns], columns)
            masked_error(predicted, y[asked][:, columns]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            yield


def predict(network: SampleAttention, query: Tensor, support: Tensor, targets: Tensor, columns: Tensor) -> Tensor:
    """Prediction around the support's own mean; missing targets count as that mean."""
    mean = torch.nanmean(targets, dim=0).nan_to_num()
    return mean + network(query, support, (targets - mean).nan_to_num(), columns)
