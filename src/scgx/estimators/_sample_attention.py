from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from scgx.nn import Episodes
    from scgx.nn import SampleAttention as Network

_CHECK_EVERY = 5  # steps between two looks at the held-out groups


class SampleAttention(BaseTranslator):
    """Attention over training samples: kernel ridge regression whose kernels are learned by episodes over groups.

    Each step holds out a random quarter of the groups, predicts them from the others in closed form, and follows the
    gradient of the error to gene weights, kernel widths, penalties and the mixing of heads. The number of steps is
    chosen on left-out groups, then training starts anew on all rows. Prediction uses all training rows as support.

    Parameters
    ----------
    n_heads
        Number of kernels that the targets mix.
    learning_rate
        Of Adam.
    max_steps
        Steps at most.
    patience
        Looks at the held-out groups, one every 5 steps, without a better error after which training stops.
    max_rows
        Support samples at most, in an episode and in prediction; more rows are thinned at random.
    max_targets
        Target genes an episode scores, drawn at random.
    seed
        Seed of episodes, first weights and folds; torch's global generator is not used.

    Notes
    -----
    Half of the heads start with genes of equal variance, half with Pareto scaling (see :class:`GeneScaler`). Missing
    target values count as the gene's mean in the support and are left out of the error.
    """

    def __init__(
        self,
        *,
        n_heads: int = 3,
        learning_rate: float = 3e-2,
        max_steps: int = 150,
        patience: int = 5,
        max_rows: int = 2000,
        max_targets: int = 512,
        seed: int = 0,
    ) -> None:
        self.n_heads = n_heads
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.patience = patience
        self.max_rows = max_rows
        self.max_targets = max_targets
        self.seed = seed

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Choose the number of steps on left-out groups, then train on all. See :meth:`BaseTranslator.fit`."""
        import torch

        groups = np.arange(len(X)) if groups is None else np.asarray(groups)
        self.scaler_ = GeneScaler("standard").fit(X)
        x = torch.from_numpy(self.scaler_.transform(X))
        center = column_mean(Y)
        self.scale_ = float(np.sqrt(np.nanmean(np.square(Y - center)))) or 1.0
        y = torch.from_numpy(((Y - center) / self.scale_).astype(np.float32))
        with limit_threads(len(X)):
            self.n_steps_ = self._choose_steps(x, y, groups)
            rows = np.sort(np.random.default_rng(self.seed).permutation(len(X))[: self.max_rows])
            self._keep(self._trained(x, y, groups), x[rows], y[rows])
        self.intercept_ = center + column_mean(y[rows].numpy()) * np.float32(self.scale_)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        x = self.scaler_.transform(X)
        predicted = np.tile(self.intercept_, (len(X), 1)).astype(np.float32)
        for h, gene_weights in enumerate(self.gene_weights_):
            u, v = x * gene_weights, self.support_ * gene_weights
            smooth = np.exp(-self.widths_[h] * euclidean_distances(u, v, squared=True))
            kernel = self.linear_[h] * (u @ v.T) + self.smooth_[h] * smooth
            predicted += kernel.astype(np.float32) @ self.values_[h]
        return predicted

    def _network(self, x: Tensor, n_targets: int) -> tuple[Network, Generator]:
        """Fresh weights, from the seed."""
        import torch

        from scgx.nn import SampleAttention as Network

        generator = torch.Generator().manual_seed(self.seed)
        # in units of the standardised gene: s^(1/2) more for a gene of large variance is Pareto scaling
        pareto = 0.5 * torch.from_numpy(np.log(np.maximum(self.scaler_.scale_, 1e-6)))
        pareto = pareto - pareto.mean()
        heads = [
            pareto * (h % 2 == 0) + 0.1 * torch.randn(x.shape[1], generator=generator) for h in range(self.n_heads)
        ]
        return Network(torch.stack(heads), n_targets, generator), generator

    def _episodes(self) -> Episodes:
        from scgx.nn import Episodes

        return Episodes(learning_rate=self.learning_rate, max_rows=self.max_rows, max_targets=self.max_targets)

    def _choose_steps(self, x: Tensor, y: Tensor, groups: np.ndarray) -> int:
        """Number of steps with the least error on left-out groups."""
        import torch

        from scgx.nn import masked_error, predict

        train, test = group_folds(len(x), groups, n_folds=5, seed=self.seed)[0]
        network, generator = self._network(x, y.shape[1])
        steps = self._episodes().steps(network, x[train], y[train], groups[train], generator)
        support = np.random.default_rng(self.seed).permutation(train)[: self.max_rows]
        best, chosen = np.inf, 0
        for step in range(0, self.max_steps + 1, _CHECK_EVERY):
            deque(islice(steps, _CHECK_EVERY if step else 0), maxlen=0)
            with torch.no_grad():
                columns = torch.arange(y.shape[1])
                error = float(masked_error(predict(network, x[test], x[support], y[support], columns), y[test]))
            if error < best:
                best, chosen = error, step
            if step - chosen >= self.patience * _CHECK_EVERY:
                break
        return chosen

    def _trained(self, x: Tensor, y: Tensor, groups: np.ndarray) -> Network:
        """Train on all rows for the chosen number of steps."""
        network, generator = self._network(x, y.shape[1])
        deque(islice(self._episodes().steps(network, x, y, groups, generator), self.n_steps_), maxlen=0)
        return network

    def _keep(self, network: Network, x: Tensor, y: Tensor) -> None:
        """Turn the network and its support into arrays that predict."""
        import torch

        with torch.no_grad():
            centred = (y - torch.nanmean(y, dim=0).nan_to_num()).nan_to_num()
            mixing = network.mixing.softmax(0)[:, None]
            self.values_ = (network.values(x, centred) * mixing * self.scale_).numpy()
            self.gene_weights_ = (network.log_weights.exp() / x.shape[1] ** 0.5).numpy()
            self.linear_, self.smooth_ = network.linear.exp().numpy(), network.smooth.exp().numpy()
            self.widths_ = network.width.exp().numpy()
        self.support_ = x.numpy()
