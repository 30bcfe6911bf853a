"""Batches for :class:`scgx.model.XTrimoGene`, and where they are computed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

from scgx._core import require_key
from scgx.model._xtrimogene_cells import Cells
from scgx.module import biased_mask, length_buckets
from scgx.train import Batches, Checkpoint

_UNKNOWN_METADATA = 0.15


def device_of(accelerator: str) -> torch.device:
    """Device of an accelerator's name; ``"auto"`` is a GPU where there is one.

    Raises
    ------
    ValueError
        If the name is unknown, or there is no such device.
    """
    found = {"cpu": True, "gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if accelerator == "auto":
        accelerator = next((name for name in ("gpu", "mps") if found[name]), "cpu")
    if not found.get(accelerator.replace("cuda", "gpu"), False):
        here = ", ".join(repr(name) for name, there in found.items() if there)
        raise ValueError(f"`accelerator` must be 'auto' or, on this machine, one of {here}; found {accelerator!r}.")
    return torch.device("cuda" if accelerator in ("gpu", "cuda") else accelerator)


def pretraining_batches(
    cells: Cells,
    rows: tuple[np.ndarray, np.ndarray],
    lengths: tuple[np.ndarray, np.ndarray],
    n_genes: int,
    *,
    batch_size: int,
    mask_ratio: float,
    seed: int,
) -> Batches:
    """Batches of cells with hidden genes.

    Parameters
    ----------
    cells
        All cells.
    rows, lengths
        Those to train on and those to validate on, and how many genes they express.
    n_genes
        Genes of the vocabulary.
    batch_size, mask_ratio, seed
        See :meth:`scgx.model.XTrimoGene.train`.
    """
    validation = set(rows[1].tolist())

    def load(batch_rows: np.ndarray, generator: torch.Generator) -> dict[str, Tensor]:
        batch = cells.read(batch_rows).batch()
        if int(batch_rows[0]) not in validation:
            # a query may know no metadata, so the model must learn to do without
            forgotten = torch.rand(batch["metadata"].shape, generator=generator) < _UNKNOWN_METADATA
            batch["metadata"] = batch["metadata"].masked_fill(forgotten, 0)
        return biased_mask(batch, n_genes, ratio=mask_ratio, generator=generator)

    return _batches(load, rows, lengths, batch_size, seed)


def finetuning_batches(
    cells: Cells,
    labels: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray],
    *,
    batch_size: int,
    seed: int,
) -> Batches:
    """Batches of whole cells with the numbers of their classes, given for all cells."""

    def load(batch_rows: np.ndarray, generator: torch.Generator) -> dict[str, Tensor]:
        return cells.read(batch_rows).batch() | {"label": torch.from_numpy(labels[batch_rows])}

    lengths = tuple(cells.read(part).lengths if len(part) else part for part in rows)
    return _batches(load, rows, (lengths[0], lengths[1]), batch_size, seed)


def labelled_rows(adata: AnnData, label_key: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows with a label, the class of every row (−1 without), and the classes.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If fewer than two classes have a row.
    """
    require_key(adata.obs.columns, label_key, ".obs", "label_key")
    column = adata.obs[label_key]
    classes = sorted(column.dropna().astype(str).unique())
    if len(classes) < 2:
        raise ValueError(f"`label_key`: .obs[{label_key!r}] has {len(classes)} classes; at least 2 are needed.")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([-1 if missing else number[str(x)] for x, missing in zip(column, column.isna(), strict=True)])
    return np.flatnonzero(labels >= 0), labels, classes


def checkpoint_in(
    directory: str | Path | None, resume: bool, every: int, identity: dict[str, Any]
) -> Checkpoint | None:
    """Where to write checkpoints.

    Raises
    ------
    ValueError
        If there is nothing to resume from, or a checkpoint that would be lost.
    """
    if directory is None:
        if resume:
            raise ValueError("`resume=True` needs `checkpoint`, the directory that an earlier call wrote to.")
        return None
    checkpoint = Checkpoint(Path(directory), identity, every)
    if checkpoint.file.is_file() and not resume:
        raise ValueError(f"{checkpoint.file} exists; pass `resume=True` to go on, or delete it to start anew.")
    return checkpoint


def fingerprint(genes: np.ndarray) -> str:
    """Short text that differs where genes or their order do."""
    return hashlib.sha256("\n".join(genes).encode()).hexdigest()[:16]


def _batches(
    load: Any, rows: tuple[np.ndarray, np.ndarray], lengths: tuple[np.ndarray, np.ndarray], batch_size: int, seed: int
) -> Batches:
    def of_epoch(epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([seed, epoch])
        return [rows[0][batch] for batch in length_buckets(lengths[0], batch_size, rng=rng)]

    return Batches(of_epoch, [rows[1][batch] for batch in length_buckets(lengths[1], batch_size)], load)
