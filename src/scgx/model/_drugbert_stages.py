from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx.model._drugbert_rows import read_screen
from scgx.model._drugbert_setup import setup_of
from scgx.model._drugbert_training import Options, metrics_table, network_for, tasks_of, train_on
from scgx.model._files import history_frames
from scgx.model._xtrimogene_training import device_of
from scgx.module import DrugBERTModule, Task

if TYPE_CHECKING:
    from scgx.model._drugbert_setup import ScreenSetup


class DrugBERTStages:
    """The two stages of :class:`scgx.model.DrugBERT`: bulk, then single cells."""

    module: DrugBERTModule
    genes: np.ndarray
    pretraining: pd.DataFrame | None
    is_trained: bool
    _setup: ScreenSetup
    _source: AnnData | None
    _usual: np.ndarray
    _drugs: pd.DataFrame
    _mean_change: pd.DataFrame
    _residuals: pd.DataFrame

    def _describe(self) -> None: ...

    def pretrain(
        self,
        adata: AnnData | None = None,
        *,
        tasks: Literal["all"] | Sequence[Task] = "all",
        mask_ratio: float = 0.15,
        max_epochs: int = 40,
        accelerator: str = "auto",
        batch_size: int = 128,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        validation_size: float = 0.1,
        patience: int = 5,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Learn from changes of wells. Metrics on held-out drugs are then in ``.pretraining``, losses in ``.history``.

        ``.pretraining`` has the metrics of the paper's Table 1, ``cell_accuracy``, ``drug_class_accuracy``, ``dose_rmse`` (log10)
        and ``mask_rmse`` (unit of the data), and ``response_rmse``, each beside that of a constant: the
        commonest line or class, the mean dose, the mean change of each gene.

        Parameters
        ----------
        adata
            Another screen that was set up; genes, lines and classes become its own, and what is known of them is kept.
            ``None``: the one the model was made with.
        tasks
            Of ``"value"`` (hidden changes from those seen), ``"line"``, ``"class"``, ``"dose"`` (the paper's four), and
            ``"response"`` (all changes from control, drug, line and dose: not in the paper, and the one by which a drug's
            structure comes to mean anything). ``"all"``: those that the screen allows.
        mask_ratio
            Share of genes that is hidden; the paper has 0.15 and 0.8.
        max_epochs
            Epochs at most.
        accelerator
            ``"auto"``, ``"cpu"``, ``"gpu"`` or ``"mps"``; one device.
        batch_size
            Wells a step.
        lr, weight_decay
            Of Adam with decoupled weight decay, after a warm-up of one epoch.
        validation_size
            Share of the drugs that is held out to choose the number of epochs; then the network is trained anew on all. 0:
            ``max_epochs`` on all, no metrics and no interval.
        patience
            Epochs without a better ``validation_loss`` after which the number is known.
        seed
            Seed of what is held out and hidden, batches and new weights; the global generators are left as they were.
        progress
            Show a progress bar.

        Raises
        ------
        ValueError
            If the model was loaded and no ``adata`` is given, a task needs what the screen lacks, there are fewer than three drugs, or
            an argument is out of range.
        """
        if adata is None and self._source is None:
            raise ValueError("a loaded model holds no screen; give one that is set up, `pretrain(adata)`.")
        if not 0 < mask_ratio < 1:
            raise ValueError(f"`mask_ratio` must lie between 0 and 1; found {mask_ratio}.")
        source = self._source if adata is None else adata
        options = Options(
            max_epochs, batch_size, lr, weight_decay, validation_size, patience, seed, mask_ratio, progress
        )
        held_out = self._train(source, tasks, options, accelerator, wells=True)
        self.pretraining = held_out

    def fine_tune(
        self,
        cells: AnnData,
        *,
        max_epochs: int = 60,
        accelerator: str = "auto",
        batch_size: int = 32,
        lr: float | None = None,
        weight_decay: float = 0.01,
        validation_size: float = 0.2,
        patience: int = 10,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Learn mean changes of single cells, each from a control cell that is drawn anew in every epoch, and its condition.

        The genes of the model become those of ``cells``: genes that bulk lacks start from random weights. Without
        :meth:`pretrain` before, the network learns from these cells alone (the paper's BERT).

        Parameters
        ----------
        cells
            Screen that was set up.
        max_epochs, batch_size
            Epochs at most, and conditions a step.
        lr
            As in :meth:`pretrain`. ``None``: 3e-4 after pre-training, 1e-3 without it; larger steps soon lose what bulk taught.
        accelerator, weight_decay, patience, seed, progress
            As in :meth:`pretrain`.
        validation_size
            Share of the drugs that is held out to choose the number of epochs, and for the interval of :meth:`predict`; then
            training starts anew on all. 0: ``max_epochs`` on all, and no interval.

        Raises
        ------
        ValueError
            If less than half of the genes of the model are found, there are fewer than three drugs, or an argument is out of range.
        """
        if lr is None:
            lr = 3e-4 if self.is_trained else 1e-3
        options = Options(max_epochs, batch_size, lr, weight_decay, validation_size, patience, seed, 1.0, progress)
        self._train(cells, ("response",), options, accelerator, wells=False)

    def _train(
        self, adata: AnnData, tasks: Literal["all"] | Sequence[Task], options: Options, accelerator: str, *, wells: bool
    ) -> pd.DataFrame | None:
        """Train on a screen; the model is changed only if that succeeds. Metrics on held-out drugs, if any are."""
        setup, device = setup_of(adata, "adata" if wells else "cells"), device_of(accelerator)
        screen = read_screen(adata, setup, wells=wells, seed=options.seed)
        chosen = tasks_of(tasks, screen)
        network = network_for(self.module.network, self.genes, screen, fresh=not self.is_trained, seed=options.seed)
        trained = train_on(network, screen, chosen, options, fresh=not self.is_trained, device=device)
        self.module, self.genes, self._setup = trained.module, screen.genes, setup
        self._residuals = trained.residuals
        self._mean_change = screen.mean_change(self.module.network.config.lines)
        self._usual = screen.controls.mean(axis=0, dtype=np.float64)
        if "response" in chosen:
            bits = screen.bits.astype(np.uint8)
            self._drugs = pd.concat([self._drugs.loc[self._drugs.index.difference(bits.index)], bits])
        self.history_ = history_frames(trained.history)
        self.is_trained_ = True
        self._describe()
        return metrics_table(trained.history, screen, trained.split) if len(trained.split[1]) else None
