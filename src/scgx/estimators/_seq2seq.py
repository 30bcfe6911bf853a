from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads


class Seq2Seq(BaseTranslator):
    """The autoregressive transformer that TransPlatformer is compared with: it writes one target gene after the other.

    The network is :class:`scgx.nn.Seq2Seq`, here far smaller than the paper's: its attention grows with the square of
    both panels, and predicting m genes takes m passes. Meant for panels of some hundred genes. The number of epochs is
    chosen on left-out groups, then the network is trained anew on all rows.

    Parameters
    ----------
    width, n_heads, n_layers
        Channels of a position, attention heads, layers of the encoder and of the decoder.
    dropout
        Share of activations left out at each training step.
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
    Missing values count as the gene's mean where they are read, and are left out of the squared error.

    References
    ----------
    Cong et al. (2026), TransPlatformer, BMC Bioinformatics; Vaswani et al. (2017), Attention is all you need.
    """

    def __init__(
        self,
        *,
        width: int = 32,
        n_heads: int = 4,
        n_layers: int = 2,
        dropout: float = 0.1,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.1,
        batch_size: int = 16,
        max_epochs: int = 30,
        patience: int = 4,
        seed: int = 0,
    ) -> None:
        self.width = width
        self.n_heads = n_heads
        self.n_layers = n_layers
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
        from scgx.nn import Seq2Seq as Network
        from scgx.nn import Training

        self.sizes_ = {
            "n_source": X.shape[1],
            "n_target": Y.shape[1],
            "width": self.width,
            "n_heads": self.n_heads,
            "n_layers": self.n_layers,
            "dropout": self.dropout,
        }
        self.scaler_ = GeneScaler("standard").fit(X)
        self.center_ = column_mean(Y)
        centred = Y - self.center_
        self.scale_ = float(np.sqrt(np.nanmean(np.square(centred)))) or 1.0
        x, y = self.scaler_.transform(X), (centred / self.scale_).astype(np.float32)
        training = Training(
            make=lambda: Network(**self.sizes_),
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
        import torch

        from scgx.nn import Seq2Seq as Network
        from scgx.nn import predict_rows

        with torch.device("meta"):  # no first weights are drawn
            network = Network(**self.sizes_)
        network.load_state_dict({name: torch.from_numpy(weight) for name, weight in self.weights_.items()}, assign=True)
        return predict_rows(network, self.scaler_.transform(X)) * np.float32(self.scale_) + self.center_
