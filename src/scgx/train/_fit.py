from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from scvi.dataloaders import DataSplitter
from scvi.model.base import BaseModelClass
from scvi.train import TrainingPlan, TrainRunner

from scgx.train._keep_best import KeepBest

_MONITOR = "validation_loss"


def fit(
    model: BaseModelClass,
    rows: tuple[np.ndarray, np.ndarray],
    *,
    max_epochs: int,
    accelerator: str,
    batch_size: int,
    lr: float,
    weight_decay: float,
    early_stopping: bool,
    patience: int,
    seed: int,
    progress: bool,
) -> None:
    """Train the module of ``model`` on the rows of its registered data, and score every epoch on other rows, or the same.

    Parameters
    ----------
    model
        Gets its history; its module gets the weights of the best epoch with ``early_stopping``, else the last ones.
    rows
        Rows to train on, where a row may be repeated to weigh more, and rows to validate on; the two may overlap.
    max_epochs, accelerator, batch_size, lr, weight_decay, early_stopping, patience, seed, progress
        See :meth:`scgx.model.TransPlatformer.train`.
    """
    train, validation = rows
    batch_size = min(batch_size, len(train))
    rest = np.setdiff1d(np.arange(model.adata_manager.adata.n_obs), np.union1d(train, validation))
    splitter = DataSplitter(
        model.adata_manager,
        external_indexing=[np.setdiff1d(train, validation), validation, rest],
        batch_size=batch_size,
        drop_last=0 < len(train) % batch_size < 3,  # scvi warns of a last batch of one or two rows
    )
    # given only now: scvi refuses repeated rows, and rows to train on that are also scored
    splitter.external_indexing[0] = train
    # scvi's eps of 0.01 would damp the small gradients of a mean over many genes
    plan = TrainingPlan(model.module, optimizer="AdamW", lr=lr, weight_decay=weight_decay, eps=1e-8)
    runner = TrainRunner(
        model,
        plan,
        splitter,
        max_epochs=max_epochs,
        accelerator=accelerator,
        check_val_every_n_epoch=1,
        enable_progress_bar=progress,
        callbacks=[EarlyStopping(_MONITOR, patience=patience), KeepBest(_MONITOR)] if early_stopping else [],
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        runner()
