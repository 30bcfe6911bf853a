from __future__ import annotations

from typing import TYPE_CHECKING

from scgx.estimators._network import NetworkTranslator

if TYPE_CHECKING:
    from torch import nn


class Seq2Seq(NetworkTranslator):
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

    def _network(self, n_source: int, n_target: int) -> nn.Module:
        from scgx.nn import Seq2Seq as Network

        return Network(
            n_source,
            n_target,
            width=self.width,
            n_heads=self.n_heads,
            n_layers=self.n_layers,
            dropout=self.dropout,
        )
