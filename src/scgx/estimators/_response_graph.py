from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from scgx.estimators._base import group_folds
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_features import perturbation_labels
from scgx.estimators._threads import limit_threads

if TYPE_CHECKING:
    from torch import Tensor

    from scgx.nn import PerturbationNodes, Training

_FEWEST = 3
_N_FOLDS = 5


class PerturbationGraph(BaseResponse):
    """Graph network on genes and perturbations, GEARS in form; see :class:`scgx.nn.PerturbationGraph`.

    Genes are connected by co-expression over the training profiles, perturbations by what ``features`` have in common. The
    number of epochs is chosen on held-out perturbations (on held-out conditions without ``features``), which are connected
    to the others as new ones will be; then networks are trained anew on all conditions.

    Parameters
    ----------
    features
        What is known of each perturbation, one row a name × f, those to be predicted among them: gene sets
        (:func:`scgx.datasets.gene_set_features`) or an embedding. A name that is in neither ``features`` nor the training
        conditions adds nothing.
    embeddings
        Given embeddings of the measured genes, genes × d, read in place of values in control cells.
    width
        Channels of a gene and of a perturbation.
    n_neighbors
        Edges to a gene and to a perturbation, at most.
    focus, direction
        Of the loss; see :func:`scgx.nn.perturbation_loss`.
    learning_rate, weight_decay
        Of Adam with decoupled weight decay.
    batch_size
        Conditions a step.
    max_epochs, patience
        Epochs at most, and without a better held-out error after which training stops.
    n_networks
        Networks whose predictions are averaged; each has first weights of its own.
    seed
        Seed of fold, weights and batches; torch's global generator is left as it was.

    Notes
    -----
    Needs torch-geometric (extra ``[graph]``).
    """

    def __init__(
        self,
        features: pd.DataFrame | None = None,
        *,
        embeddings: np.ndarray | None = None,
        width: int = 32,
        n_neighbors: int = 20,
        focus: float = 0.0,
        direction: float = 0.1,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.1,
        batch_size: int = 16,
        max_epochs: int = 100,
        patience: int = 15,
        n_networks: int = 1,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.embeddings = embeddings
        self.width = width
        self.n_neighbors = n_neighbors
        self.focus = focus
        self.direction = direction
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.n_networks = n_networks
        self.seed = seed

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Choose the number of epochs, train. See :meth:`BaseResponse.fit`.

        Raises
        ------
        ValueError
            If there are fewer than three different perturbations, or ``embeddings`` are not those of the genes.
        ImportError
            If torch-geometric is not installed.
        """
        names = sorted({name for row in conditions.perturbations for name in row})
        labels = perturbation_labels(conditions)
        if len(set(labels)) < _FEWEST:
            raise ValueError(
                f"there are {len(set(labels))} different perturbations to learn from; the graph network needs {_FEWEST}."
            )
        if self.embeddings is not None and np.shape(self.embeddings)[0] != delta.shape[1]:
            raise ValueError(f"`embeddings` has {np.shape(self.embeddings)[0]} rows for {delta.shape[1]} genes.")
        delta = np.asarray(delta, dtype=np.float32)
        with limit_threads(delta.shape[1]):
            self.n_epochs_ = self._choose_epochs(conditions, delta, names, labels)
            self.names_ = names
            rows = self._rows(conditions, names)
            self.networks_: list[Any] = [
                self._training(names, [], conditions, delta, seed).train(rows, delta, n_epochs=self.n_epochs_)
                for seed in range(self.seed, self.seed + self.n_networks)
            ]
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean change of the networks, conditions × genes."""
        from scgx.nn import predict_rows

        further = sorted({name for row in conditions.perturbations for name in row} - set(self.names_))
        nodes, rows = self._nodes(self.names_, further), self._rows(conditions, [*self.names_, *further])
        return np.mean([predict_rows(network.connect(nodes), rows) for network in self.networks_], axis=0)

    def _choose_epochs(self, conditions: Conditions, delta: np.ndarray, names: list[str], labels: np.ndarray) -> int:
        if self.features is None:
            train, test = group_folds(len(labels), labels, n_folds=_N_FOLDS, seed=self.seed)[0]
        else:
            order = np.random.default_rng(self.seed).permutation(len(names))
            held_out = {names[k] for k in order[: max(len(names) // _N_FOLDS, 1)]}
            tested = np.array([not held_out.isdisjoint(row) for row in conditions.perturbations])
            train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
        known = sorted({name for row in train for name in conditions.perturbations[row]})
        further = [name for name in names if name not in known]
        if not known:
            return self.max_epochs // 2
        rows = self._rows(conditions, [*known, *further])
        return self._training(known, further, conditions.take(train), delta[train], self.seed).choose_epochs(
            (rows[train], delta[train]), (rows[test], delta[test]), max_epochs=self.max_epochs, patience=self.patience
        )

    def _training(
        self, names: list[str], further: list[str], conditions: Conditions, delta: np.ndarray, seed: int
    ) -> Training:
        import torch

        from scgx.nn import PerturbationGraph as Network
        from scgx.nn import PerturbationGraphConfig, Training, coexpression_graph, perturbation_loss, standardised

        nodes = self._nodes(names, further)
        profiles = np.vstack([np.unique(conditions.control, axis=0), conditions.control + delta])
        genes = coexpression_graph(profiles, self.n_neighbors)
        given = None if self.embeddings is None else standardised(self.embeddings)
        config = PerturbationGraphConfig(
            n_genes=delta.shape[1],
            n_trained=len(names),
            n_coordinates=nodes.coordinates.shape[1],
            n_embedding=0 if given is None else given.shape[1],
            width=self.width,
        )
        scale = float((delta - delta.mean(axis=0)).std()) or 1.0

        def make() -> Network:
            network = Network(config, genes, None if given is None else torch.from_numpy(given))
            network.set_scale(torch.from_numpy(delta))
            return network.connect(nodes)

        def loss(predicted: Tensor, measured: Tensor) -> Tensor:
            by_row = perturbation_loss(predicted / scale, measured / scale, focus=self.focus, direction=self.direction)
            return by_row.mean()

        return Training(make, self.learning_rate, self.weight_decay, self.batch_size, seed, loss)

    def _features_of(self, names: list[str]) -> np.ndarray:
        """Features of names, rows of 0 for those that have none."""
        if self.features is None:
            return np.zeros((len(names), 0))
        return self.features.reindex(names).fillna(0).to_numpy(dtype=np.float64)

    def _nodes(self, names: list[str], further: list[str]) -> PerturbationNodes:
        from scgx.nn import perturbation_nodes

        return perturbation_nodes(self._features_of(names), self._features_of(further), self.n_neighbors)

    def _rows(self, conditions: Conditions, names: list[str]) -> np.ndarray:
        """What the network reads: control profile, then a column a name."""
        column = {name: k for k, name in enumerate(names)}
        applied = np.zeros((len(conditions), len(names)), dtype=np.float32)
        for row, together in enumerate(conditions.perturbations):
            applied[row, [column[name] for name in together]] = 1
        return np.hstack([conditions.control.astype(np.float32), applied])
