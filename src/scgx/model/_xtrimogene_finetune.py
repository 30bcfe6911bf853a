"""What changes a trained :class:`scgx.model.XTrimoGene`: labels to learn, genes to add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scgx.model._files import history_frames
from scgx.model._xtrimogene_cells import Cells
from scgx.model._xtrimogene_genes import extended, with_genes
from scgx.model._xtrimogene_predict import XTrimoGenePredictions
from scgx.model._xtrimogene_training import device_of, finetuning_batches, labelled_rows
from scgx.train import Batches, Loop, fit_batches, grouped_split

_ROWS_FOR_NEIGHBORS = 2000


class XTrimoGeneFineTuning(XTrimoGenePredictions):
    """Methods that go on from trained weights, and what they share with pre-training."""

    _cells: Cells | None
    is_trained_: bool
    history_: dict[str, pd.DataFrame]
    _model_summary_string: str

    def fine_tune(
        self,
        adata: AnnData,
        *,
        label_key: str,
        layer: str | None = None,
        freeze: bool = False,
        max_epochs: int = 20,
        accelerator: str = "auto",
        batch_size: int = 32,
        lr: float | None = None,
        weight_decay: float = 0.01,
        validation_size: float = 0.1,
        patience: int = 5,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Learn labels with a max pooling and a linear layer on the encoder; see :meth:`predict_labels`.

        Parameters
        ----------
        adata
            Cells; those without a label are left out.
        label_key
            ``.obs`` column with the labels.
        layer
            Layer to use; ``None``: the one named at set-up.
        freeze
            Train the linear layer only.
        max_epochs, accelerator, batch_size, lr, weight_decay, patience, seed, progress
            As in :meth:`train`.
        validation_size
            Share of the cells left out to stop early on; 0 trains on all of them for ``max_epochs``.

        Raises
        ------
        KeyError
            If there is no such column or layer.
        ValueError
            If there are fewer than two classes, the model is not trained, or ``adata`` does not fit.
        """
        self._require_trained()
        device = device_of(accelerator)
        labelled, labels, classes = labelled_rows(adata, label_key)
        cells, _ = self._vocabulary.cells(adata, self._setup, layer=layer)
        train, validation = np.arange(len(labelled)), np.arange(0)
        if validation_size > 0:
            train, validation = grouped_split(train, validation_size=validation_size, seed=seed)
        rows = labelled[train], labelled[validation]
        batches = finetuning_batches(cells, labels, rows, batch_size=batch_size, seed=seed)
        self._task = {"key": label_key, "classes": classes}
        self.module.set_task(len(classes), freeze=freeze, seed=seed)
        loop = Loop(
            max_epochs, self._lr(lr), weight_decay, patience if len(validation) else None, seed, False, progress
        )
        try:
            self._fit(batches, loop, device)
        finally:
            self.module.requires_grad_(True)

    def add_genes(
        self, adata: AnnData, names: Sequence[str] | None = None, *, layer: str | None = None, n_neighbors: int = 10
    ) -> None:
        """Give genes that the model was not trained with a place in its space; nothing else changes.

        A gene starts from the mean embedding of the known genes whose values correlate best with its own over (at most 2,000)
        cells of ``adata``, and from its own share of expressing cells and mean. Fine-tuning can go on from there.

        Parameters
        ----------
        adata
            Cells with new and known genes.
        names
            New genes; ``None``: all of ``adata`` that the model lacks.
        layer
            Layer to use; ``None``: the one named at set-up.
        n_neighbors
            Genes to average.

        Raises
        ------
        ValueError
            If nothing is new, names are known already or not in ``adata``, or the model is not trained.
        """
        self._require_trained()
        vocabulary = with_genes(self._vocabulary, adata, names)
        cells, _ = vocabulary.cells(adata, self._setup, layer=layer)
        rows = np.linspace(0, len(cells) - 1, min(len(cells), _ROWS_FOR_NEIGHBORS)).astype(int)
        self.module = extended(self.module, cells.read(rows), len(vocabulary.genes), n_neighbors)
        self._vocabulary, self._cells = vocabulary, None  # the cells at hand lack the new genes
        self._describe()

    def _fit(self, batches: Batches, loop: Loop, device: torch.device, **options: Any) -> None:
        self.module.to(device)
        history = fit_batches(self.module, batches, loop, **options)
        self.history_ = history_frames(history)
        self.is_trained_ = True

    def _lr(self, lr: float | None) -> float:
        return 1e-3 * min(1.0, 120 / self.module.network.config.size.width) if lr is None else lr

    def _describe(self) -> None:
        size = self.module.network.config.size
        n = sum(weight.numel() for weight in self.module.parameters())
        self._model_summary_string = (
            f"XTrimoGene: {len(self.genes)} genes, {n / 1e6:.1f} M parameters, encoder {size.n_layers} × {size.width}, "
            f"decoder {size.decoder_layers} × {size.decoder_width}"
        )
