from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi.model.base import BaseModelClass

from scgx._core import dense_rows, layer_or_x
from scgx._core.perturbation_cells import PerturbationColumns
from scgx.model._files import history_frames, plain_history, read_model, write_model
from scgx.model._perturbation_graph_predict import predict_cells
from scgx.model._perturbation_graph_setup import (
    embedding_of,
    known_features,
    nodes_of,
    recalled,
    register,
    remember,
    screen_rows,
)
from scgx.model._perturbation_graph_training import fresh_module, held_out_rows, stack_features
from scgx.model._training_split import rows_to_train_on
from scgx.module import (
    APPLIED,
    Graph,
    PerturbationGraphConfig,
    PerturbationGraphModule,
    PerturbationNodes,
    coexpression_graph,
)
from scgx.module import PerturbationGraph as Network
from scgx.train import fit

#: control cells that co-expression is measured in, at most
_MOST_CELLS = 5000


class PerturbationGraph(BaseModelClass):
    """Predict what perturbing genes changes, alone or together, from graphs of genes (GEARS in form).

    Genes are connected by co-expression in control cells, perturbations by what is known of them (gene sets they share);
    see :class:`scgx.nn.PerturbationGraph` for formulas. Beside every prediction stands the closed form: compare with
    :func:`scgx.bm.perturb` before trusting it (``docs/perturbation_graph.md``).

    Parameters
    ----------
    adata
        Cells given to :meth:`setup_anndata`. The model copies mean profiles and ``n_cells`` cells of each condition.
    features
        What is known of each perturbation, one row a name × f: those of the screen, and all others to be predicted. Gene
        sets (:func:`scgx.datasets.gene_set_features`), or an embedding. Without it nothing but combinations of measured
        perturbations can be predicted.
    gene_embeddings
        Embeddings of the measured genes, read in place of their values in control cells: an array (genes × d), a frame by
        gene, or a trained :class:`XTrimoGene`, whose vectors in the context of the control cells are taken.
    width
        Channels of a gene and of a perturbation.
    n_neighbors
        Edges to a gene and to a perturbation, at most.
    n_cells
        Cells of each condition to learn from beside its mean.
    seed
        Seed of the cells drawn.

    Examples
    --------
    >>> import scgx
    >>> PerturbationGraph = scgx.model.PerturbationGraph
    >>> PerturbationGraph.setup_anndata(screen, perturbation_key="gene", control="control")  # doctest: +SKIP
    >>> sets = scgx.datasets.load("gene_graph")["GO_Biological_Process_2021"]  # doctest: +SKIP
    >>> features = scgx.datasets.gene_set_features(sets)  # doctest: +SKIP
    >>> model = PerturbationGraph(screen, features=features)  # doctest: +SKIP
    >>> model.train()  # doctest: +SKIP
    >>> predicted = model.predict(screen, ["KLF1", "GATA1"])  # doctest: +SKIP
    """

    def __init__(
        self,
        adata: AnnData,
        *,
        features: pd.DataFrame | None = None,
        gene_embeddings: Any = None,
        width: int = 32,
        n_neighbors: int = 20,
        n_cells: int = 4,
        seed: int = 0,
    ) -> None:
        self.columns, self.layer = recalled(adata)
        self._features, self._n_neighbors = known_features(features), n_neighbors
        rows = screen_rows(adata, self.columns, self.layer, n_cells=n_cells, seed=seed)
        self._describe(rows.var_names.to_numpy(dtype=str), rows.uns[APPLIED], rows.uns["usual"])
        controls = np.sort(np.random.default_rng(seed).permutation(rows.uns["control_rows"])[:_MOST_CELLS])
        given = embedding_of(gene_embeddings, self.genes, adata[controls])
        self._embedding = None if given is None else torch.from_numpy(given)
        values = dense_rows(layer_or_x(adata, self.layer), controls, adata.var_names.get_indexer(self.genes))
        self._graph = coexpression_graph(values, n_neighbors)
        self._config = PerturbationGraphConfig(
            n_genes=len(self.genes),
            n_trained=len(self.perturbations),
            n_coordinates=self._nodes(self.perturbations, self.perturbations[:0]).coordinates.shape[1],
            n_embedding=0 if given is None else given.shape[1],
            width=width,
        )
        self._applied = rows.obsm[APPLIED]
        register(type(self), rows, self.columns, self.layer)
        super().__init__(rows)
        self.init_params_ = self._get_init_params(locals())

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        perturbation_key: str,
        control: str,
        separator: str | None = None,
        layer: str | None = None,
    ) -> None:
        """Say where perturbations and expression are; nothing is written to ``adata``.

        Parameters
        ----------
        adata
            Perturbed and control cells of one context; log-normalised expression.
        perturbation_key, control
            ``.obs`` column that names what was perturbed, and its value for control cells.
        separator
            What stands between genes perturbed together, such as ``"+"``; ``None``: a name is a name.
        layer
            Layer with the expression; ``None`` for ``.X``.

        Raises
        ------
        KeyError
            If the column or the layer is missing.
        ValueError
            If there are no control cells or nothing else, or names of genes are doubled.
        """
        remember(adata, PerturbationColumns(perturbation_key, control, separator), layer)

    def train(
        self,
        max_epochs: int = 60,
        *,
        focus: float = 0.0,
        direction: float = 0.1,
        accelerator: str = "cpu",
        batch_size: int = 32,
        lr: float = 3e-3,
        weight_decay: float = 0.1,
        validation_size: float = 0.2,
        patience: int = 10,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Choose the number of epochs on held-out perturbations, then train on all; losses of the first are in ``.history``.

        Parameters
        ----------
        max_epochs
            Epochs at most.
        focus, direction
            Exponent and weight of the loss, see :func:`scgx.nn.perturbation_loss`; GEARS has 2 and 0.1.
        accelerator
            ``"auto"``, ``"cpu"``, ``"gpu"``, …: as in lightning. The network is small: a GPU gains little.
        batch_size
            Rows a step.
        lr, weight_decay
            Of Adam with decoupled weight decay.
        validation_size
            Share of the perturbed genes whose conditions are held out, combinations with them too; of the conditions
            where there are no ``features``.
        patience
            Epochs without a better ``validation_loss`` after which the number is known.
        seed
            Seed of what is held out, first weights and batches; the global generators are left as they were.
        progress
            Show progress bars.

        Raises
        ------
        ValueError
            If ``validation_size`` is not between 0 and 1, or the model was loaded.
        """
        rows = rows_to_train_on(self.adata, type(self).__name__)
        by_name, loss = self._features is not None, {"focus": focus, "direction": direction}
        split = held_out_rows(rows, self._applied, self.perturbations, validation_size, seed, by_name=by_name)
        run = partial(
            fit,
            self,
            accelerator=accelerator,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            patience=patience,
            seed=seed,
            progress=progress,
        )
        self.is_trained_, self.history_ = False, None
        self.module = fresh_module(self, split.known, split.further, split.train, loss, seed)
        run((split.train, split.validation), max_epochs=max_epochs, early_stopping=True)
        history: dict[str, pd.DataFrame] = self.history_ or {}
        best = int(np.argmin(history["validation_loss"].to_numpy())) + 1
        self.is_trained_, self.history_ = False, None
        self.module = fresh_module(self, self.perturbations, self.perturbations[:0], split.all, loss, seed)
        run((split.all, split.validation), max_epochs=best, early_stopping=False)
        self.history_, self.n_epochs = history, best
        self.module.eval()

    def predict(self, query: AnnData, conditions: pd.DataFrame | Sequence[str]) -> AnnData:
        """Control cells of ``query`` under each condition, the control cells themselves among them.

        Parameters
        ----------
        query
            Cells in the unit of the screen. Its control cells are those with ``control`` in the column of perturbations,
            all where there is no such column; others are left out. Genes are found by name, in any order.
        conditions
            Perturbations, those of a combination joined by ``separator`` in any order and number; or a frame with a column
            of them named like ``perturbation_key``.

        Returns
        -------
        As :meth:`scgx.tl.PerturbationPredictor.predict`: cells × genes of ``query`` in its order, float32, control cells,
        then for each condition the control cells with the predicted change. ``.uns["perturbation_predicted"]`` has for each
        condition ``change`` and ``mean_change`` (k × genes; of the screen, the baseline), ``novel`` (its parts that were never
        perturbed in the screen, joined by ", "), ``novelty`` (mean over its parts of 0 for a part of the screen, otherwise
        1 − the largest similarity to one), and ``genes``, ``genes_left_out``, ``overlap``, as there.

        Raises
        ------
        KeyError
            If a gene is neither among the perturbations of the screen nor in ``features``; the message has the nearest.
        ValueError
            If the model is not trained, less than half of the genes are found, there are no control cells, or a condition is
            the control or doubled.
        """
        if not self.is_trained:
            raise ValueError("this PerturbationGraph is not trained; call `.train()`, or load one that is.")
        return predict_cells(self, query, conditions)

    def save(self, directory: str | Path) -> None:
        """Write the model as ``model.json`` and ``model.safetensors``; of the data, features and the mean control profile."""
        features = self._features
        content = {
            "sizes": asdict(self._config),
            "loss": {"focus": self.module.focus, "direction": self.module.direction},
            "genes": self.genes.tolist(),
            "perturbations": self.perturbations.tolist(),
            "described": None if features is None else features.index.tolist(),
            "columns": {name: getattr(self.columns, name) for name in ("perturbation", "control", "separator")},
            "layer": self.layer,
            "n_neighbors": self._n_neighbors,
            "n_epochs": self.n_epochs,
            "history": plain_history(self.history),
        }
        extra = {"usual": torch.from_numpy(self._usual)} | stack_features(features)
        write_model(Path(directory), type(self).__name__, content, self.module.state_dict() | extra)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a model that :meth:`save` wrote, to predict with; a ValueError if it is none. Runs no code from the files."""
        content, weights = read_model(Path(directory), cls.__name__)
        model = cls.__new__(cls)
        BaseModelClass.__init__(model, registry={"field_registries": {}})
        model.columns, model.layer = PerturbationColumns(**content["columns"]), content["layer"]
        model._n_neighbors, model._config = content["n_neighbors"], PerturbationGraphConfig(**content["sizes"])
        usual, features = weights.pop("usual").numpy(), weights.pop("features", None)
        model._features = None if features is None else pd.DataFrame(features.numpy(), index=content["described"])
        model._describe(np.array(content["genes"]), np.array(content["perturbations"]), usual)
        edges = (weights[f"network.gene_{part}"].numpy() for part in ("edges", "weight"))
        model._graph, model._embedding = Graph(*edges), weights.get("network.embedding")
        with torch.random.fork_rng(devices=[]):
            network = Network(model._config, model._graph, model._embedding)
        model.module = PerturbationGraphModule(network, **content["loss"])
        model.module.load_state_dict(weights)
        model.module.eval()
        model.is_trained_, model.n_epochs = True, content["n_epochs"]
        model.history_ = history_frames(content["history"])
        return model

    def _describe(self, genes: np.ndarray, perturbations: np.ndarray, usual: np.ndarray) -> None:
        self.genes, self.perturbations, self._usual = genes, perturbations, usual
        self._model_summary_string = (
            f"PerturbationGraph, {len(perturbations)} perturbed and {len(genes)} measured genes"
        )

    def _nodes(self, known: np.ndarray, further: np.ndarray) -> PerturbationNodes:
        return nodes_of(self._features, known, further, self._n_neighbors)
