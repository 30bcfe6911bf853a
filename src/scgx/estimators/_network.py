from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads

if TYPE_CHECKING:
    from torch import nn


class NetworkTranslator(BaseTranslator):
    """A torch network trained on the squared error; subclasses say which.

    Source genes are standardised; targets are centred a gene and divided by one standard deviation for all genes. The
    number of epochs is chosen on left-out groups, then the network is trained anew on all rows. Fitted weights are
    kept as arrays.
    """

    #: parameters of every subclass
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    seed: int

    @abstractmethod
    def _network(self, n_source: int, n_target: int) -> nn.Module:
        """A fresh network from source to target values."""

    def _source(self, X: np.ndarray) -> np.ndarray:
        """What the network reads: standardised values, 0 where not measured."""
        return self.scaler_.transform(X)

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Choose the number of epochs on left-out groups, then train on all. See :meth:`BaseTranslator.fit`."""
        from scgx.nn import Training

        self.scaler_ = GeneScaler("standard").fit(X)
        self.center_ = column_mean(Y)
        centred = Y - self.center_
        self.scale_ = float(np.sqrt(np.nanmean(np.square(centred)))) or 1.0
        self.n_source_ = X.shape[1]
        x, y = self._source(X), (centred / self.scale_).astype(np.float32)
        training = Training(
            make=lambda: self._network(x.shape[1], y.shape[1]),
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        train, test = group_folds(len(X), groups, n_folds=5, seed=self.seed)[0]
        with limit_threads(x.shape[1] + y.shape[1]):
            self.n_epochs_ = training.choose_epochs(
                (x[train], y[train]), (x[test], y[test]), max_epochs=self.max_epochs, patience=self.patience
            )
            network = training.train(x, y, n_epochs=self.n_epochs_)
        self.weights_ = {name: weight.numpy() for name, weight in network.state_dict().items()}
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        from scgx.nn import predict_rows

        return predict_rows(self._fitted_network(), self._source(X)) * np.float32(self.scale_) + self.center_

    def _fitted_network(self) -> nn.Module:
        import torch

        with torch.device("meta"):  # no first weights are drawn
            network = self._network(self.n_source_, len(self.center_))
        weights = {name: torch.from_numpy(weight) for name, weight in self.weights_.items()}
        network.load_state_dict(weights, assign=True)
        return network.eval()
