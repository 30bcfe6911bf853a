from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from anndata import AnnData
from scvi.model.base import BaseModelClass

from scgx.model._files import history_frames, plain_history, read_model, write_model
from scgx.model._xtrimogene_cells import Cells, Summary, gene_loadings
from scgx.model._xtrimogene_finetune import XTrimoGeneFineTuning
from scgx.model._xtrimogene_setup import Setup, Vocabulary, XTrimoGeneSetup, setup_of
from scgx.model._xtrimogene_training import (
    checkpoint_in,
    device_of,
    fingerprint,
    pretraining_batches,
)
from scgx.module import SIZES, Decoder, Objective, ValueEmbedding, XTrimoGeneConfig, XTrimoGeneModule, XTrimoGeneSize
from scgx.train import Loop, grouped_split


class XTrimoGene(XTrimoGeneSetup, XTrimoGeneFineTuning, BaseModelClass):
    """Sparse encoder of single cells, pre-trained by hiding genes (Gong et al., NeurIPS 2023, arXiv 2311.15156).

    The encoder reads the genes that a cell expresses, a light decoder predicts hidden ones. See
    :class:`scgx.nn.XTrimoGene` for formulas and ``docs/xtrimogene.md`` for what differs from the paper.

    Parameters
    ----------
    adata
        Cells given to :meth:`setup_anndata`. The model reads its matrix while it trains and copies nothing.
    size
        ``"small"``, ``"3M"``, ``"10M"``, ``"100M"``, or sizes of your own.
    decoder
        ``"cross"``: hidden genes read the encoder's tokens. ``"self"``: they also read each other. ``"linear"``: the paper's
        linear attention over all genes of the vocabulary.
    objective
        ``"hurdle"``: whether a gene is expressed, and its value if it is. ``"regression"``: one value (the paper).
        ``"classification"``: its bin.
    embedding, n_bins
        How a value becomes a vector: ``"auto"`` (the paper), ``"round"``, ``"up"``, ``"equal"``; and the number of bins.
    depth
        Tell the encoder each cell's sequencing depth, through the value of a single count.
    dropout
        In the layers.
    seed
        Seed of the first weights.

    Examples
    --------
    >>> import scgx
    >>> XTrimoGene = scgx.model.XTrimoGene
    >>> XTrimoGene.setup_anndata(adata, layer="counts")  # doctest: +SKIP
    >>> model = XTrimoGene(adata, size="3M")  # doctest: +SKIP
    >>> model.train(max_epochs=10, checkpoint="atlas/", resume=True)  # doctest: +SKIP
    >>> adata.obsm["X_xtrimogene"] = model.get_latent_representation(adata)  # doctest: +SKIP
    """

    def __init__(
        self,
        adata: AnnData,
        *,
        size: Literal["small", "3M", "10M", "100M"] | XTrimoGeneSize = "small",
        decoder: Decoder = "cross",
        objective: Objective = "hurdle",
        embedding: ValueEmbedding = "auto",
        n_bins: int = 100,
        depth: bool = True,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._setup = setup_of(adata)
        if isinstance(size, str) and size not in SIZES:
            raise ValueError(f"`size` must be one of {', '.join(map(repr, SIZES))} or XTrimoGeneSize; found {size!r}.")
        self._vocabulary = Vocabulary.of(adata, self._setup)
        self._cells: Cells | None = self._vocabulary.cells(adata, self._setup)[0]
        config = XTrimoGeneConfig(
            n_genes=adata.n_vars,
            size=SIZES[size] if isinstance(size, str) else size,
            decoder=decoder,
            objective=objective,
            embedding=embedding,
            n_bins=n_bins,
            n_categories=tuple(len(names) for names in self._vocabulary.categories.values()),
            depth=depth,
            dropout=dropout,
        )
        self._task: dict[str, Any] = {}
        BaseModelClass.__init__(self, registry={"field_registries": {}})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module = XTrimoGeneModule(config)
        self._describe()
        self.init_params_ = self._get_init_params(locals())

    def train(
        self,
        max_epochs: int = 20,
        *,
        accelerator: str = "auto",
        batch_size: int = 32,
        lr: float | None = None,
        weight_decay: float = 0.01,
        mask_ratio: float = 0.3,
        validation_size: float = 0.1,
        early_stopping: bool = True,
        patience: int = 5,
        bf16: bool = False,
        max_seconds: float | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 1000,
        resume: bool = False,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Pre-train: hide expressed genes and as many zeros of each cell, and predict them. Losses are in ``.history``.

        Parameters
        ----------
        max_epochs
            Epochs at most, those before a checkpoint counted.
        accelerator
            ``"auto"``, ``"cpu"``, ``"gpu"`` or ``"mps"``; one device.
        batch_size
            Cells a step; cells of similar length come together.
        lr
            Of Adam with decoupled weight decay, after a warm-up of one epoch (1,000 steps at most); ``None``: 1e-3 up to a width
            of 120, less for wider ones in proportion.
        weight_decay
            Of matrices; biases and norms have none.
        mask_ratio
            Share of a cell's expressed genes that is hidden.
        validation_size
            Share of the cells that is left out to validate on.
        early_stopping, patience
            Stop after so many epochs without a better ``validation_loss``, and keep the weights of the best one.
        bf16
            Multiply matrices in bfloat16: less exact, and faster where the hardware has it.
        max_seconds
            Stop after the step in which this time is used up; what was done of an epoch is validated as one. How far it comes
            depends on the machine. A checkpoint goes on within that epoch.
        checkpoint
            Directory that gets ``training.safetensors`` after each epoch, every ``checkpoint_every`` steps, and when the
            time is up.
        checkpoint_every
            Steps.
        resume
            Go on from the checkpoint, or start if there is none: the same call can simply be repeated. The result is that of a
            training that never stopped.
        seed
            Seed of the split, batches and hidden genes; global generators are left as they were.
        progress
            Show a progress bar.

        Raises
        ------
        ValueError
            If the model was loaded, values do not fit the scale, a cell expresses nothing, an argument is out of range, a
            checkpoint is in the way, or it is of another training.
        """
        if self._cells is None:
            raise ValueError(
                "a loaded model holds no cells to train on; use `fine_tune`, or `load(directory, adata=…)`."
            )
        if not 0 < mask_ratio < 1:
            raise ValueError(f"`mask_ratio` must lie between 0 and 1; found {mask_ratio}.")
        device, config = device_of(accelerator), self.module.network.config
        lr = self._lr(lr)
        identity = {
            "config": asdict(config),
            "genes": fingerprint(self.genes),
            "n_cells": len(self._cells),
            "batch_size": batch_size,
            "lr": lr,
            "weight_decay": weight_decay,
            "mask_ratio": mask_ratio,
            "validation_size": validation_size,
            "bf16": bf16,
            "seed": seed,
        }
        where = checkpoint_in(checkpoint, resume, checkpoint_every, identity)
        rows = grouped_split(np.arange(len(self._cells)), validation_size=validation_size, seed=seed)
        train, validation = np.sort(rows[0]), np.sort(rows[1])
        summary, held_out = (Summary.of(self._cells, part, config.n_genes) for part in (train, validation))
        if not self.is_trained:
            loadings = gene_loadings(self._cells, train, config.n_genes, config.size.width, seed)
            statistics = (summary.detection, summary.mean, summary.sample, loadings)
            self.module.start_from(*(torch.from_numpy(x).float() for x in statistics))
        self.module.task = "pretrain"
        batches = pretraining_batches(
            self._cells,
            (train, validation),
            (summary.lengths, held_out.lengths),
            config.n_genes,
            batch_size=batch_size,
            mask_ratio=mask_ratio,
            seed=seed,
        )
        loop = Loop(
            max_epochs, lr, weight_decay, patience if early_stopping else None, seed, bf16, progress, max_seconds
        )
        self._fit(batches, loop, device, checkpoint=where, resume=resume)

    def save(self, directory: str | Path) -> None:
        """Write the model as ``model.json`` and ``model.safetensors``; the cells are not saved."""
        content = {
            "config": asdict(self.module.network.config),
            "vocabulary": self._vocabulary.to_plain(),
            "setup": asdict(self._setup),
            "task": self._task,
            "is_trained": self.is_trained,
            "history": plain_history(self.history),
        }
        write_model(Path(directory), type(self).__name__, content, self.module.state_dict())

    @classmethod
    def load(
        cls, directory: str | Path, *, adata: AnnData | None = None, dtype: Literal["float32", "bfloat16"] = "float32"
    ) -> Self:
        """Read a model that :meth:`save` wrote. Runs no code from the files.

        Parameters
        ----------
        directory
            What :meth:`save` wrote.
        adata
            Cells to go on pre-training with, by :meth:`train`: the same genes in any order, found by name, with values where the
            model's set-up says. ``None``: to predict and to fine-tune.
        dtype
            Of the weights. ``"bfloat16"`` halves memory, and is for prediction.

        Raises
        ------
        ValueError
            If it is no such model, is damaged, or ``adata`` lacks genes of it.
        """
        content, weights = read_model(Path(directory), cls.__name__)
        model = cls.__new__(cls)
        BaseModelClass.__init__(model, registry={"field_registries": {}})
        model._vocabulary, model._setup = Vocabulary.read(content["vocabulary"]), Setup.read(content["setup"])
        model._task, model._cells = content["task"], None
        if adata is not None:
            model._cells, measured = model._vocabulary.cells(adata, model._setup)
            if not measured.all():
                raise ValueError(
                    f"`adata` lacks {int((~measured).sum())} genes of the model, which would count as zeros."
                )
        config = content["config"]
        config |= {"size": XTrimoGeneSize(**config["size"]), "n_categories": tuple(config["n_categories"])}
        with torch.device("meta"):  # no first weights are drawn
            model.module = XTrimoGeneModule(
                XTrimoGeneConfig(**config), n_labels=len(content["task"].get("classes", ()))
            )
        if dtype == "bfloat16":
            weights = {name: x.to(torch.bfloat16) if x.is_floating_point() else x for name, x in weights.items()}
        model.module.load_state_dict(weights, assign=True)
        model.module.eval()
        model._describe()
        model.is_trained_ = content["is_trained"]
        model.history_ = history_frames(content["history"])
        return model
