from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from scgx.estimators._network import NetworkTranslator

if TYPE_CHECKING:
    from scgx.nn import TransPlatformer as Network

_BLOCK_ROWS = 256


class TransPlatformer(NetworkTranslator):
    """Gene tokens, attention that assigns tokens to slots, and concurrent decoders that give the target genes.

    The network is :class:`scgx.nn.TransPlatformer`. The number of epochs is chosen on left-out groups; then the network
    is trained anew on all rows.

    Parameters
    ----------
    bottleneck
        Tokens that a fully connected layer makes of the source genes; ``None``: each source gene is a token.
    width
        Channels of a token.
    n_encoder_layers, n_decoder_layers
        Attention layers before the concurrent decoders, and in each of them.
    slots
        Target genes of a decoder at most.
    n_heads
        Heads of each attention layer, a divisor of ``width``.
    softmax
        Whether each token is divided among slots (the paper) or each slot averages tokens.
    learning_rate, weight_decay
        Of Adam with decoupled weight decay.
    batch_size
        Rows a training step.
    max_epochs
        Epochs at most.
    patience
        Epochs without a better held-out error after which training stops.
    seed
        Seed of fold, weights and batches; torch's global generator is left as it was.

    Notes
    -----
    Source genes are standardised; targets are centred a gene and divided by one standard deviation for all genes.
    Missing source values count as the gene's mean (without a bottleneck their tokens are zero), missing target values
    are left out of the squared error. The paper's sizes are 32 layers of width 16 with 512 slots, without weight decay:
    see :meth:`scgx.model.TransPlatformer.paper_config`.

    References
    ----------
    Cong et al. (2026), TransPlatformer, BMC Bioinformatics.
    """

    def __init__(
        self,
        *,
        bottleneck: int | None = 64,
        width: int = 64,
        n_encoder_layers: int = 2,
        n_decoder_layers: int = 1,
        slots: int = 512,
        n_heads: int = 1,
        softmax: Literal["slots", "tokens"] = "slots",
        learning_rate: float = 1e-3,
        weight_decay: float = 1.0,
        batch_size: int = 16,
        max_epochs: int = 60,
        patience: int = 8,
        seed: int = 0,
    ) -> None:
        self.bottleneck = bottleneck
        self.width = width
        self.n_encoder_layers = n_encoder_layers
        self.n_decoder_layers = n_decoder_layers
        self.slots = slots
        self.n_heads = n_heads
        self.softmax = softmax
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.seed = seed

    def attention(self, X: np.ndarray) -> np.ndarray:
        """Attention that each source gene gets in each row, rows of ``X`` × p, with sum 1 over genes.

        See :meth:`scgx.nn.TransPlatformer.attention`.
        """
        import torch

        network = cast("Network", self._fitted_network())
        blocks = torch.from_numpy(self._source(X)).split(_BLOCK_ROWS)
        return np.concatenate([network.attention(block).numpy() for block in blocks])

    def _source(self, X: np.ndarray) -> np.ndarray:
        """Standardised source values, NaN where not measured."""
        scaled = self.scaler_.transform(X)
        scaled[np.isnan(X)] = np.nan
        return scaled

    def _network(self, n_source: int, n_target: int) -> Network:
        from scgx.nn import TransPlatformer as Network
        from scgx.nn import TransPlatformerConfig

        config = TransPlatformerConfig(
            n_source=n_source,
            n_target=n_target,
            bottleneck=self.bottleneck,
            width=self.width,
            n_encoder_layers=self.n_encoder_layers,
            n_decoder_layers=self.n_decoder_layers,
            slots=self.slots,
            n_heads=self.n_heads,
            softmax=self.softmax,
        )
        return Network(config)
