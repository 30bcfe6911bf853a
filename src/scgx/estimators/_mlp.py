from __future__ import annotations

from typing import TYPE_CHECKING

from scgx.estimators._network import NetworkTranslator

if TYPE_CHECKING:
    from torch import nn


class MLP(NetworkTranslator):
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

    def _network(self, n_source: int, n_target: int) -> nn.Module:
        from scgx.nn import perceptron

        return perceptron(n_source, n_target, hidden=self.hidden, dropout=self.dropout)
