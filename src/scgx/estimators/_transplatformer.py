from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads

if TYPE_CHECKING:
    from scgx.nn import TransPlatformer as Network

_BLOCK_ROWS = 256


class TransPlatformer(BaseTranslator):
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

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Choose the number of epochs on left-out groups, then train on all. See :meth:`BaseTranslator.fit`."""
        from scgx.nn import Training, TransPlatformerConfig
        from scgx.nn import TransPlatformer as Network

        config = TransPlatformerConfig(
            n_source=X.shape[1],
            n_target=Y.shape[1],
            bottleneck=self.bottleneck,
            width=self.width,
            n_encoder_layers=self.n_encoder_layers,
            n_decoder_layers=self.n_decoder_layers,
            slots=self.slots,
            n_heads=self.n_heads,
            softmax=self.softmax,
        )
        self.scaler_ = GeneScaler("standard").fit(X)
        self.center_ = column_mean(Y)
        centred = Y - self.center_
        self.scale_ = float(np.sqrt(np.nanmean(np.square(centred)))) or 1.0
        x, y = self._source(X), (centred / self.scale_).astype(np.float32)
        training = Training(
            make=lambda: Network(config),
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
        self.sizes_ = asdict(config)
        self.weights_ = {name: weight.numpy() for name, weight in network.state_dict().items()}
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        from scgx.nn import predict_rows

        return predict_rows(self._network(), self._source(X)) * np.float32(self.scale_) + self.center_

    def attention(self, X: np.ndarray) -> np.ndarray:
        """Attention that each source gene gets in each row, rows of ``X`` × p, with sum 1 over genes.

        See :meth:`scgx.nn.TransPlatformer.attention`.
        """
        import torch

        network = self._network()
        blocks = torch.from_numpy(self._source(X)).split(_BLOCK_ROWS)
        return np.concatenate([network.attention(block).numpy() for block in blocks])

    def _source(self, X: np.ndarray) -> np.ndarray:
        """Standardised source values, NaN where not measured."""
        scaled = self.scaler_.transform(X)
        scaled[np.isnan(X)] = np.nan
        return scaled

    def _network(self) -> Network:
        """The fitted network."""
        import torch

        from scgx.nn import TransPlatformer as Network
        from scgx.nn import TransPlatformerConfig

        with torch.device("meta"):  # no first weights are drawn
            network = Network(TransPlatformerConfig(**self.sizes_))
        weights = {name: torch.from_numpy(weight) for name, weight in self.weights_.items()}
        network.load_state_dict(weights, assign=True)
        return network.eval()
