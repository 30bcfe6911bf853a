"""How far predictions of :class:`scgx.model.DrugBERT` are from changes of drugs that were held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from scgx.model._drugbert_batches import numbers
from scgx.selection import held_out_coverage

if TYPE_CHECKING:
    from scgx.model._drugbert_rows import Screen
    from scgx.module import DrugBERTModule

#: control profiles that the network reads for a prediction, at most
N_READ = 16


def some_controls(rows: np.ndarray) -> np.ndarray:
    """At most :data:`N_READ` of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, N_READ).astype(int))]


def predicted_change(
    module: DrugBERTModule, control: np.ndarray, bits: np.ndarray, line: int, log_dose: float
) -> np.ndarray:
    """Change of all genes under one condition, mean over the control profiles that are read."""
    device, n = module.device, len(control)
    condition = (
        torch.from_numpy(bits).to(device).expand(n, -1),
        torch.full((n,), line, device=device),
        torch.full((n,), log_dose, device=device),
    )
    with torch.no_grad():
        return module.network(torch.from_numpy(control).to(device), condition=condition)[0].mean(0).cpu().numpy()


def held_out_residuals(module: DrugBERTModule, screen: Screen, rows: np.ndarray) -> pd.DataFrame:
    """Measured less predicted change of rows that the module was not trained on, by drug; rows × genes, float32."""
    table = screen.table.iloc[rows]
    bits = screen.bits.loc[table["label"]].to_numpy(dtype=np.float32)
    line = numbers(table["context"], module.network.config.lines)
    log_dose = table["log_dose"].to_numpy(dtype=float)
    residuals = np.empty((len(rows), len(screen.genes)), dtype=np.float32)
    for k, row in enumerate(rows):
        control = screen.controls[some_controls(screen.control_rows[screen.unit[row]])]
        residuals[k] = screen.change[row] - predicted_change(module, control, bits[k], int(line[k]), float(log_dose[k]))
    return pd.DataFrame(residuals, index=table["label"].to_numpy(dtype=str))


def coverage_of_drugs(residuals: pd.DataFrame, level: float) -> float:
    """Share of the changes of held-out drugs within the interval of the others, in five parts; NaN where it is infinite."""
    drug = np.unique(residuals.index.to_numpy(dtype=str), return_inverse=True)[1]
    return held_out_coverage(residuals.to_numpy(), drug % 5, level)
