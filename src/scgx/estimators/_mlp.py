from __future__ import annotations

from typing import Self

import numpy as np
from scipy.special import erf

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads


class MLP(BaseTranslator):
    """The multilayer perceptron that TransPlatformer is compared with: GELU, dropout 0.1, Adam, batches of 16.

    The number of epochs is chosen on left-out groups; then the network is trained anew on all rows.

    Parameters
    ----------
    hidden
        Units of each hidden layer.
    dropout
        Share of hidden units left out at each training step.
    learning_rate, weight_decay
        Of Adam with decoupled weight decay.
    batch_size
        Rows a training step.
    max_epochs
        Epochs at most.
    patience
        Epochs without a better held-out error after which training stops.
    seed
        Seed of fold, weights, batches and dropout; torch's global generator is left as it was.

    Notes
    -----
    Source genes are standardised; targets are centred a gene and divided by one standard deviation for all genes.
    Missing target values are left out of the squared error.

    References
    ----------
    Cong et al. (2026), TransPlatformer, BMC Bioinformatics; Hendrycks & Gimpel (2016), arXiv:1606.08415.
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (512, 512),
        dropout: float = 0.1,
        learning_rate: float = 5e-4,
        weight_decay: float = 1.0,
        batch_size: int = 16,
        max_epochs: int = 200,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.seed = seed

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Choose the number of epochs on left-out groups, then train on all. See :meth:`BaseTranslator.fit`."""
        from torch import nn

        from scgx.nn import Training, perceptron

        self.scaler_ = GeneScaler("standard").fit(X)
        self.center_ = column_mean(Y)
        centred = Y - self.center_
        self.scale_ = float(np.sqrt(np.nanmean(np.square(centred)))) or 1.0
        x, y = self.scaler_.transform(X), (centred / self.scale_).astype(np.float32)
        training = Training(
            make=lambda: perceptron(x.shape[1], y.shape[1], hidden=self.hidden, dropout=self.dropout),
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
        layers = [layer for layer in network.children() if isinstance(layer, nn.Linear)]
        self.weights_ = [layer.weight.detach().numpy() for layer in layers]
        self.biases_ = [layer.bias.detach().numpy() for layer in layers]
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        values = self.scaler_.transform(X)
        for weight, bias in zip(self.weights_[:-1], self.biases_[:-1], strict=True):
            values = values @ weight.T + bias
            values = 0.5 * values * (1 + erf(values / np.float32(np.sqrt(2))))
        return (values @ self.weights_[-1].T + self.biases_[-1]) * np.float32(self.scale_) + self.center_
