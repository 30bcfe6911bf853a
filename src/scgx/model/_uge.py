from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from anndata import AnnData
from scvi.model.base import BaseModelClass

from scgx.model._files import history_frames, plain_history, read_model, write_model
from scgx.model._species import Orthologs, Setup, Vocabulary, species_rows
from scgx.model._uge_genes import added_embeddings, extended, measured_values, new_genes
from scgx.model._uge_predict import UGEPredictions
from scgx.model._uge_setup import UGESetup, parts_of
from scgx.model._uge_training import finetune_rows, fit_rows, pretraining_split
from scgx.module import UGEConfig, UGEModule

if TYPE_CHECKING:
    from mudata import MuData


class UGE(UGESetup, UGEPredictions, BaseModelClass):
    """Universal Gene Embedding: profiles and genes of several species in one space (Belgadi, Zhang, Gopinath, 2024).

    See :class:`scgx.nn.UGE` for formulas and ``docs/uge.md`` for what differs from the paper. Values should be on a
    log scale (log-normalised expression, or fold changes); NaN stands for a value not measured.

    Parameters
    ----------
    data
        Object given to :meth:`setup_anndata` or :meth:`setup_mudata`. The model copies its rows.
    width, n_layers, n_heads, n_tokens, n_bins, dropout
        Sizes, see :class:`scgx.nn.UGEConfig`.
    mask_ratio
        Share of a profile's genes that pre-training hides and predicts.
    ecs_weight
        Weight of the similarity loss beside the reconstruction.
    printed_beta
        Use the similarity loss with the sign that the paper prints and this β, see :func:`scgx.nn.ecs_loss`.
    seed
        Seed of the first weights.
    """

    def __init__(
        self,
        data: AnnData | MuData,
        *,
        width: int = 64,
        n_layers: int = 2,
        n_heads: int = 4,
        n_tokens: int = 128,
        n_bins: int = 32,
        dropout: float = 0.1,
        mask_ratio: float = 0.3,
        ecs_weight: float = 1.0,
        printed_beta: float | None = None,
        seed: int = 0,
    ) -> None:
        setup, parts = parts_of(data)
        self._setup = replace(setup, orthologs=None)
        self._vocabulary = Vocabulary.of({name: part.var_names for name, part in parts.items()}, setup.orthologs)
        self._rows: AnnData | None = species_rows(parts, self._vocabulary, setup)
        external = self._rows.obsm.get("external")
        config = UGEConfig(
            n_genes=self._vocabulary.n_columns,
            n_species=len(parts),
            n_external=0 if external is None else int(external.max()),
            n_bins=n_bins,
            n_tokens=n_tokens,
            width=width,
            n_layers=n_layers,
            n_heads=n_heads,
            dropout=dropout,
        )
        self._task: dict[str, Any] = {}
        BaseModelClass.__init__(self, registry={"field_registries": {}})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module = UGEModule(config, mask_ratio=mask_ratio, ecs_weight=ecs_weight, printed_beta=printed_beta)
        self._describe()
        self.init_params_ = self._get_init_params(locals())

    @staticmethod
    def paper_config() -> dict[str, Any]:
        """Sizes of the paper, as arguments of the class: d = 256, 4 layers, 8 heads.

        It trains at 1e-4 in batches of 32 for 100 epochs: ``train(100, lr=1e-4, batch_size=32)``. The number of
        tokens (highly variable genes) is not given; here 2,000.
        """
        return {"width": 256, "n_layers": 4, "n_heads": 8, "n_tokens": 2000}

    @staticmethod
    def small_config() -> dict[str, Any]:
        """Sizes that train on a CPU, as arguments of the class: its defaults."""
        return {"width": 64, "n_layers": 2, "n_heads": 4, "n_tokens": 128}

    def train(
        self,
        max_epochs: int = 100,
        *,
        accelerator: str = "auto",
        batch_size: int = 32,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        validation_size: float = 0.1,
        early_stopping: bool = True,
        patience: int = 15,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Pre-train without labels: predict hidden genes, and draw similar profiles together.

        Parameters
        ----------
        max_epochs, accelerator, batch_size, lr, weight_decay, early_stopping, patience, seed, progress
            See :meth:`scgx.model.TransPlatformer.train`.
        validation_size
            Share of the groups (or rows) that is left out to validate on.

        Raises
        ------
        ValueError
            If the model was loaded, or the split leaves fewer than two rows of a species to train on.
        """
        if self._rows is None:
            raise ValueError("a loaded model holds no rows to train on; use `fine_tune`, or make a new UGE.")
        split = pretraining_split(self._rows, self._vocabulary.species, validation_size, seed)
        rows = torch.from_numpy(self._rows.X[split[0]])
        species = torch.from_numpy(self._rows.obs["species"].to_numpy()[split[0]])
        self.module.set_scale(rows, species)
        if not self.is_trained:
            self.module.place_genes(rows, species)
        self.module.task = "pretrain"
        options = {"max_epochs": max_epochs, "accelerator": accelerator, "batch_size": batch_size, "lr": lr}
        options |= {"weight_decay": weight_decay, "early_stopping": early_stopping, "patience": patience}
        fit_rows(self, self._rows, split, seed=seed, progress=progress, **options)

    def fine_tune(
        self,
        data: Mapping[str, AnnData],
        *,
        label_key: str | None = None,
        value_key: str | None = None,
        freeze: bool = False,
        max_epochs: int = 50,
        accelerator: str = "auto",
        batch_size: int = 32,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        validation_size: float = 0.0,
        patience: int = 10,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Learn to tell a label or a number from a profile; a few rows are enough to start from a pre-trained model.

        Parameters
        ----------
        data
            Rows of one or more species, by name: ``{"mouse": mouse}``.
        label_key, value_key
            ``.obs`` column with classes, or with numbers: exactly one. Rows where it is missing are left out.
        freeze
            Train the task head only, and leave embeddings and encoder as they are.
        max_epochs, accelerator, batch_size, lr, weight_decay, patience, seed, progress
            As in :meth:`train`.
        validation_size
            Share of the rows left out to stop early on; 0 trains on all rows and stops by the loss on them, as is
            needed when each class has one row.

        Raises
        ------
        KeyError
            If a species or column is unknown.
        ValueError
            If not exactly one key is given, fewer than two rows or classes have labels, or the model is not trained.
        """
        self._require_trained()
        rows, split, self._task = finetune_rows(
            data, self._vocabulary, self._setup, label_key, value_key, validation_size, seed
        )
        self.module.set_task("value" if value_key else "label", self._task["n_outputs"], freeze=freeze, seed=seed)
        options = {"max_epochs": max_epochs, "accelerator": accelerator, "batch_size": batch_size, "lr": lr}
        options |= {"weight_decay": weight_decay, "early_stopping": True, "patience": patience}
        try:
            fit_rows(self, rows, split, seed=seed, progress=progress, **options)
        finally:
            self.module.requires_grad_(True)

    def add_genes(
        self,
        adata: AnnData,
        names: Sequence[str] | None = None,
        *,
        species: str,
        orthologs: Orthologs | None = None,
        n_neighbors: int = 10,
    ) -> None:
        """Give genes that the model was not trained with a place in its space; nothing else changes.

        A gene starts from its orthologue's embedding; without one, from the mean of the known genes whose profiles over
        the rows of ``adata`` correlate best with its own. Centre and spread come from ``adata`` too.

        Parameters
        ----------
        adata
            Profiles of the species with new and known genes.
        names
            New genes; ``None``: all of ``adata`` that the model lacks.
        species
            Name of the species.
        orthologs
            As in :meth:`setup_mudata`; ``None``: all new genes start from neighbours.
        n_neighbors
            Genes to average.

        Raises
        ------
        KeyError
            If the model does not know the species.
        ValueError
            If nothing is new, names are known already or not in ``adata``, or the model is not trained.
        """
        self._require_trained()
        number = self._vocabulary.number(species)
        new = new_genes(adata, species, self._vocabulary, names)
        values = measured_values(adata, self._setup.layer, new)
        embeddings = added_embeddings(self, adata, new, values, species, orthologs, n_neighbors)
        columns = self._vocabulary.n_columns + torch.arange(len(new)).numpy()
        self.module = extended(self.module, number, values, embeddings)
        self._vocabulary = self._vocabulary.with_genes(species, new, columns)
        self._rows = None  # they lack the new columns
        self._describe()

    def save(self, directory: str | Path) -> None:
        """Write the model as ``model.json`` and ``model.safetensors``; the data are not saved."""
        vocabulary = self._vocabulary
        content = {
            "sizes": asdict(self.module.network.config),
            "options": self.module.options,
            "names": {species: names.tolist() for species, names in vocabulary.names.items()},
            "columns": {species: columns.tolist() for species, columns in vocabulary.columns.items()},
            "n_trained": vocabulary.n_trained,
            "setup": {"layer": self._setup.layer, "external_layer": self._setup.external_layer},
            "task": self._task,
            "is_trained": self.is_trained,
            "history": plain_history(self.history),
        }
        write_model(Path(directory), type(self).__name__, content, self.module.state_dict())

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a model that :meth:`save` wrote, to predict or fine-tune; a ValueError if it is none. Runs no code."""
        content, weights = read_model(Path(directory), cls.__name__)
        model = cls.__new__(cls)
        BaseModelClass.__init__(model, registry={"field_registries": {}})
        model._vocabulary = Vocabulary.read(content["names"], content["columns"], content["n_trained"])
        model._setup, model._rows, model._task = Setup(**content["setup"]), None, content["task"]
        config, n_outputs = UGEConfig(**content["sizes"]), content["task"].get("n_outputs", 0)
        with torch.random.fork_rng(devices=[]):
            model.module = UGEModule(config, **content["options"], n_outputs=n_outputs)
        model.module.load_state_dict(weights)
        model.module.eval()
        model._describe()
        model.is_trained_ = content["is_trained"]
        model.history_ = history_frames(content["history"])
        return model

    def _describe(self) -> None:
        sizes = ", ".join(f"{len(names)} genes of {species}" for species, names in self.genes.items())
        self._model_summary_string = f"UGE: {sizes}, {self._vocabulary.n_columns} embeddings"
