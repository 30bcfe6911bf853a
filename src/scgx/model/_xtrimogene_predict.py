"""What a trained :class:`scgx.model.XTrimoGene` gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from scgx.model._xtrimogene_cells import Cells
from scgx.model._xtrimogene_setup import Setup, Vocabulary
from scgx.module import length_buckets
from scgx.module._xtrimogene import Pooling, XTrimoGeneModule

_BLOCK_ROWS = 1024


class XTrimoGenePredictions:
    """Methods that need only the module, the vocabulary and the task."""

    module: XTrimoGeneModule
    is_trained: bool
    _vocabulary: Vocabulary
    _setup: Setup
    _task: dict[str, Any]

    @property
    def genes(self) -> np.ndarray:
        """Names of the genes, in the order of results."""
        return self._vocabulary.genes

    @property
    def input_setup(self) -> dict[str, Any]:
        """What :meth:`setup_anndata` was told: ``layer``, ``input_scale``, ``metadata_keys``."""
        return asdict(self._setup)

    def get_latent_representation(
        self, adata: AnnData, *, pooling: Pooling = "mean", layer: str | None = None, batch_size: int = 32
    ) -> np.ndarray:
        """One vector a cell from the encoder, n_obs × width (twice that for ``"both"``), float32, rows as in ``adata``.

        Parameters
        ----------
        adata
            Cells, backed or in memory. Genes are found by name, in any order.
        pooling
            Over the genes that a cell expresses: ``"mean"``, ``"max"``, or ``"both"``.
        layer
            Layer to use; ``None``: the one named at set-up. Values must have the scale named there.
        batch_size
            Cells at a time.

        Raises
        ------
        ValueError
            If the model is not trained, less than half of its genes are found, values do not fit the scale, or a cell expresses no
            known gene.
        """
        self._require_trained()
        cells, _ = self._vocabulary.cells(adata, self._setup, layer=layer)
        return self._by_batch(cells, lambda batch: self.module.latent(batch, pooling), batch_size)

    def get_gene_embeddings(
        self,
        adata: AnnData | None = None,
        *,
        genes: Sequence[str] | None = None,
        average: bool = False,
        layer: str | None = None,
    ) -> np.ndarray:
        """Vectors of genes: without cells those that the model has learned, with cells those in each cell's context.

        Parameters
        ----------
        adata
            Cells. Each gene is asked of the decoder as if it were hidden, while the encoder sees all that the cell expresses:
            the vector says what this cell's context holds on the gene. ``None``: the rows of the embedding table.
        genes
            Names; ``None``: all of :attr:`genes`.
        average
            The mean over cells, one cell in memory at a time.
        layer
            As in :meth:`get_latent_representation`.

        Returns
        -------
        float32: genes × width without cells; n_obs × genes × decoder width with cells, or genes × decoder width with
        ``average``.

        Raises
        ------
        KeyError
            If a gene is unknown.
        ValueError
            As in :meth:`get_latent_representation`.
        """
        self._require_trained()
        numbers = np.arange(len(self.genes)) if genes is None else self._vocabulary.numbers(genes)
        asked = torch.from_numpy(numbers).to(self.module.device)
        if adata is None:
            return self.module.network.encoder.gene.weight.detach()[asked].float().cpu().numpy()
        cells, _ = self._vocabulary.cells(adata, self._setup, layer=layer)
        if not average:
            return self._by_batch(cells, lambda batch: self.module.context(batch, asked), 1)
        total = np.zeros((len(numbers), self.module.network.config.size.decoder_width))
        for row in range(len(cells)):
            total += self._compute(
                cells.read(np.array([row])).batch(), lambda batch: self.module.context(batch, asked)
            )[0]
        return (total / len(cells)).astype(np.float32)

    def impute(
        self,
        adata: AnnData,
        *,
        genes: Sequence[str] | None = None,
        layer: str | None = None,
        batch_size: int = 8,
    ) -> pd.DataFrame:
        """Expected log1p values of genes from all others, n_obs × genes, at least 0.

        Parameters
        ----------
        adata
            Cells.
        genes
            Genes to predict; those that ``adata`` has are hidden from the model, in all cells. ``None``: genes of the model that
            ``adata`` lacks.
        layer
            As in :meth:`get_latent_representation`.
        batch_size
            Cells at a time.

        Raises
        ------
        KeyError
            If a gene is unknown.
        ValueError
            If ``adata`` lacks no gene and none is named; and as in :meth:`get_latent_representation`.
        """
        self._require_trained()
        if genes is None:
            genes = [name for name in self.genes if name not in adata.var_names]
            if not genes:
                raise ValueError("`adata` has all genes of the model; name the `genes` to hide and predict.")
        numbers = self._vocabulary.numbers(genes)
        cells, measured = self._vocabulary.cells(adata, self._setup, layer=layer, hidden=numbers)
        asked, n_measured = torch.from_numpy(numbers).to(self.module.device), int(measured.sum())

        def compute(batch: dict[str, Tensor]) -> Tensor:
            expressed = batch["lengths"].clamp(max=n_measured - 1)[:, None]
            return self.module.impute(batch, asked, torch.log(expressed / (n_measured - expressed)))

        return pd.DataFrame(self._by_batch(cells, compute, batch_size), index=adata.obs_names, columns=list(genes))

    def predict_probabilities(self, adata: AnnData, *, layer: str | None = None, batch_size: int = 32) -> pd.DataFrame:
        """Probability of each class, n_obs × classes; arguments and errors of :meth:`get_latent_representation`.

        Raises
        ------
        ValueError
            If the model was not fine-tuned.
        """
        if not self._task:
            raise ValueError("this XTrimoGene was not fine-tuned; call `.fine_tune(adata, label_key=…)` first.")
        cells, _ = self._vocabulary.cells(adata, self._setup, layer=layer)
        values = self._by_batch(cells, lambda batch: self.module.label_logits(batch).softmax(1), batch_size)
        return pd.DataFrame(values, index=adata.obs_names, columns=self._task["classes"])

    def predict_labels(self, adata: AnnData, *, layer: str | None = None, batch_size: int = 32) -> pd.Series:
        """The most probable class of each cell; see :meth:`predict_probabilities`."""
        return self.predict_probabilities(adata, layer=layer, batch_size=batch_size).idxmax(axis=1)

    def _by_batch(self, cells: Cells, compute: Callable[[dict[str, Tensor]], Tensor], batch_size: int) -> np.ndarray:
        """Apply ``compute`` to all cells: blocks in their order, cells of similar length together within a block."""
        if not len(cells):
            raise ValueError("`adata` has no rows; give at least one.")
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1; found {batch_size}.")
        result: np.ndarray | None = None
        for start in range(0, len(cells), _BLOCK_ROWS):
            block = cells.read(np.arange(start, min(start + _BLOCK_ROWS, len(cells))))
            for rows in length_buckets(block.lengths, batch_size):
                values = self._compute(block.batch(rows), compute)
                if result is None:
                    result = np.empty((len(cells), *values.shape[1:]), dtype=np.float32)
                result[start + rows] = values
        return np.empty(0) if result is None else result

    def _compute(self, batch: dict[str, Tensor], compute: Callable[[dict[str, Tensor]], Tensor]) -> np.ndarray:
        self.module.eval()
        with torch.inference_mode():
            on_device = {name: x.to(self.module.device) for name, x in batch.items()}
            return compute(on_device).float().cpu().numpy()

    def _require_trained(self) -> None:
        if not self.is_trained:
            raise ValueError("this XTrimoGene is not trained; call `.train()`, or load one that is.")
