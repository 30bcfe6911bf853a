"""Batches for :class:`scgx.model.DrugBERT`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scgx.model._drugbert_rows import Screen
from scgx.module import DrugBERTConfig
from scgx.train import Batches

Split = tuple[np.ndarray, np.ndarray]
_VALIDATION_ROWS = 512


def screen_batches(
    screen: Screen, config: DrugBERTConfig, split: Split, *, batch_size: int, mask_ratio: float, seed: int
) -> Batches:
    """Batches of changes, of which some are hidden, each with a control profile that is drawn from those matched to it.

    A control is drawn anew in each epoch: what a well or cell was before its treatment is not known.

    Parameters
    ----------
    screen
        All rows; its lines and classes are those of ``config``.
    config
        Of the network.
    split
        Rows to train on and to validate on.
    batch_size, mask_ratio, seed
        See :meth:`scgx.model.DrugBERT.pretrain`.
    """
    line = numbers(screen.table["context"], config.lines)
    drug_class = numbers(screen.table["drug_class"], config.classes)
    drug = screen.bits.index.get_indexer(pd.Index(screen.table["label"]))
    bits = screen.bits.to_numpy(dtype=np.float32)
    log_dose = screen.table["log_dose"].to_numpy(dtype=np.float32)
    first = np.array([rows[0] for rows in screen.control_rows])
    count = np.array([len(rows) for rows in screen.control_rows])

    def load(rows: np.ndarray, generator: torch.Generator) -> dict[str, Tensor]:
        unit = screen.unit[rows]
        drawn = (torch.rand(len(rows), generator=generator).numpy() * count[unit]).astype(int)
        arrays = {
            "control": screen.controls[first[unit] + drawn],
            "change": screen.change[rows],
            "drug": bits[drug[rows]],
            "line": line[rows],
            "class": drug_class[rows],
            "log_dose": log_dose[rows],
        }
        hidden = torch.rand(len(rows), config.n_genes, generator=generator) < mask_ratio
        return {name: torch.from_numpy(array) for name, array in arrays.items()} | {"hidden": hidden}

    def of_epoch(epoch: int) -> list[np.ndarray]:
        mixed = np.random.default_rng([seed, epoch]).permutation(split[0])
        return np.array_split(mixed, max(len(mixed) // batch_size, 1))

    parts = np.array_split(split[1], -(-len(split[1]) // _VALIDATION_ROWS)) if len(split[1]) else []
    return Batches(of_epoch, parts, load)


def numbers(values: pd.Series | Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Number of each value among the names, −1 where it is none of them."""
    return pd.Index(list(names), dtype=object).get_indexer(pd.Index(values)).astype(np.int64)
