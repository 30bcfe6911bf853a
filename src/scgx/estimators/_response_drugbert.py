from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from scgx.estimators._base import group_folds
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_features import perturbation_labels
from scgx.estimators._threads import limit_threads

if TYPE_CHECKING:
    from scgx.nn import DrugBERT as Network
    from scgx.nn import Training

_N_FOLDS = 5


class DrugBERT(BaseResponse):
    """DrugBERT's network from control profile, fingerprint, cell line and dose to the change; see :class:`scgx.nn.DrugBERT`.

    The number of epochs is chosen on held-out perturbations (on held-out contexts where there is one perturbation), then the
    network is trained anew on all conditions. A context that is not among those trained on is known by its control profile
    alone; without ``features`` a perturbation is known by its name alone.

    Parameters
    ----------
    pretrained
        Network to start from, whose genes are those of the changes in their order and whose fingerprints those of
        ``features``: :meth:`scgx.model.DrugBERT.response_network`. ``None``: random weights, the paper's BERT.
    width, depth
        Channels and layers of a network that is not pre-trained.
    learning_rate, weight_decay
        Of Adam with decoupled weight decay.
    batch_size
        Conditions a step.
    max_epochs, patience
        Epochs at most, and without a better held-out error after which training stops.
    seed
        Seed of fold, weights and batches; torch's global generator is left as it was.
    """

    def __init__(
        self,
        pretrained: Network | None = None,
        *,
        width: int = 64,
        depth: int = 1,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        batch_size: int = 32,
        max_epochs: int = 60,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        self.pretrained = pretrained
        self.width = width
        self.depth = depth
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.seed = seed

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Choose the number of epochs, train. See :meth:`BaseResponse.fit`.

        Raises
        ------
        ValueError
            If ``pretrained`` has another number of genes or fingerprint bits.
        """
        delta = np.asarray(delta, dtype=np.float32)
        self.lines_ = sorted(set(map(str, conditions.context)))
        if self.pretrained is not None:
            self._check(self.pretrained, conditions, delta)
            known = self.pretrained.config.lines
            self.lines_ = [*known, *(line for line in self.lines_ if line not in known)]
        x = self._rows(conditions)
        with limit_threads(delta.shape[1]):
            self.n_epochs_ = self._choose_epochs(conditions, x, delta)
            self.network_: Any = self._training(x, delta).train(x, delta, n_epochs=self.n_epochs_)
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Changes, conditions × genes."""
        from scgx.nn import predict_rows

        return predict_rows(self.network_, self._rows(conditions))

    def _choose_epochs(self, conditions: Conditions, x: np.ndarray, delta: np.ndarray) -> int:
        groups = perturbation_labels(conditions)
        if len(set(groups)) < 2:
            groups = np.asarray(conditions.context, dtype=str)
        if len(set(groups)) < 2:
            return self.max_epochs // 2
        train, test = group_folds(len(x), groups, n_folds=_N_FOLDS, seed=self.seed)[0]
        return self._training(x[train], delta[train]).choose_epochs(
            (x[train], delta[train]), (x[test], delta[test]), max_epochs=self.max_epochs, patience=self.patience
        )

    def _training(self, x: np.ndarray, delta: np.ndarray) -> Training:
        import torch

        from scgx.nn import ConditionRows, DrugBERTConfig, Training
        from scgx.nn import DrugBERT as Network

        n_genes, start = delta.shape[1], self.pretrained

        def make() -> ConditionRows:
            if start is not None:
                network = start.rearranged(np.arange(n_genes), self.lines_, start.config.classes)
            else:
                config = DrugBERTConfig(
                    n_genes,
                    lines=tuple(self.lines_),
                    n_bits=x.shape[1] - n_genes - 2,
                    width=self.width,
                    depth=self.depth,
                )
                network = Network(config)
            control = torch.from_numpy(np.unique(x[:, :n_genes], axis=0))
            network.set_scale(control, torch.from_numpy(delta), fresh=start is None)
            return ConditionRows(network)

        return Training(make, self.learning_rate, self.weight_decay, self.batch_size, self.seed)

    def _rows(self, conditions: Conditions) -> np.ndarray:
        from scgx.nn import condition_rows, name_bits

        n_bits = 2048 if self.pretrained is None else self.pretrained.config.n_bits
        features = conditions.features
        bits = name_bits(perturbation_labels(conditions), n_bits) if features is None else features
        number = {line: k for k, line in enumerate(self.lines_)}
        line = np.array([number.get(str(context), -1) for context in conditions.context])
        dose = np.zeros(len(conditions)) if conditions.log_dose is None else conditions.log_dose
        return condition_rows(conditions.control, bits, line, dose)

    def _check(self, network: Network, conditions: Conditions, delta: np.ndarray) -> None:
        found = (delta.shape[1], network.config.n_bits if conditions.features is None else conditions.features.shape[1])
        expected = (network.config.n_genes, network.config.n_bits)
        if found != expected:
            raise ValueError(
                f"`pretrained` is a network of {expected[0]} genes and {expected[1]} features; the conditions have "
                f"{found[0]} and {found[1]}. Take that of `model.response_network(genes)` and Morgan fingerprints."
            )
