from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.linalg import cho_solve

from scgx._core.similarity import squared_distances
from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._importance import spread
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._threads import limit_threads

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from scgx.nn import SampleAttention as Network

_CHECK_EVERY = 5  # steps between two looks at the held-out groups
# support samples and target genes of a look, at most: it must cost less than 5 steps
_CHECK_ROWS, _CHECK_TARGETS = 800, 2048
_MANY_GENES = 2000  # of more source genes, episodes and looks compare half as many rows
_FOLDS = 5  # a member is stopped on one of them
_TISSUE_SHARE = 0.1  # first weight of another tissue, relative to that of other expression in all genes


class SampleAttention(BaseTranslator):
    """Attention over training samples: kernel ridge regression whose kernels are learned by episodes over groups.

    Each step holds out a random quarter of the groups, predicts them from the others in closed form, and follows the
    gradient of the error to gene weights, kernel widths, penalties and the mixing of heads. Members differ in the
    groups left out to stop them, in first weights and in episodes; each keeps the step that predicted its left-out
    groups best, and predictions, which use all training rows as support, are averaged.

    Parameters
    ----------
    n_members
        Networks that are averaged, 5 at most.
    n_heads
        Kernels of each network that the targets mix.
    learning_rate
        Of Adam.
    max_steps
        Steps at most.
    patience
        Looks at the held-out groups, one every 5 steps, without a better error after which training stops.
    max_rows
        Support samples at most in prediction; more rows are thinned at random.
    episode_rows
        Rows at most in an episode, drawn at random; half as many of more than 2,000 source genes, where time is in them.
    max_targets
        Target genes an episode scores, drawn at random.
    seed
        Seed of episodes, first weights and folds; torch's global generator is not used.

    Notes
    -----
    Half of the heads start with genes of equal variance, half with Pareto scaling (see :class:`GeneScaler`). Missing
    target values count as the gene's mean in the support and are left out of the error. With ``tissue``, being of
    another tissue counts in each kernel with a learned weight, as a gene does.
    """

    def __init__(
        self,
        *,
        n_members: int = 3,
        n_heads: int = 3,
        learning_rate: float = 3e-2,
        max_steps: int = 150,
        patience: int = 5,
        max_rows: int = 2000,
        episode_rows: int = 600,
        max_targets: int = 512,
        seed: int = 0,
    ) -> None:
        self.n_members = n_members
        self.n_heads = n_heads
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.patience = patience
        self.max_rows = max_rows
        self.episode_rows = episode_rows
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
        """Train each member until its left-out groups stop it. See :meth:`BaseTranslator.fit`."""
        import torch

        groups = np.arange(len(X)) if groups is None else np.asarray(groups)
        self.scaler_ = GeneScaler("standard").fit(X)
        self.tissues_ = np.empty(0, dtype=str) if tissue is None else np.unique(tissue).astype(str)
        x = torch.from_numpy(self._described(X, tissue))
        center = column_mean(Y)
        scale = float(np.sqrt(np.nanmean(np.square(Y - center)))) or 1.0
        y = torch.from_numpy(((Y - center) / scale).astype(np.float32))
        folds = group_folds(len(X), groups, n_folds=_FOLDS, seed=self.seed)[: self.n_members]
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(X))[: self.max_rows])
        with limit_threads(len(X)):
            trained = [self._member(i, x, y, groups, fold) for i, fold in enumerate(folds)]
            self.n_steps_ = np.array([n_steps for _, n_steps in trained])
            self._keep([network for network, _ in trained], x[rows])
        support = y[rows].numpy()
        mean = column_mean(support)
        self.targets_ = np.nan_to_num(support - mean) * np.float32(scale)
        self.intercept_ = center + mean * np.float32(scale)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        x = self._described(X, tissue)
        predicted = np.tile(self.intercept_, (len(X), 1)).astype(np.float32)
        for h, weights in enumerate(self.gene_weights_):
            u, v = x * weights, self.support_ * weights
            smooth = np.exp(-self.widths_[h] * squared_distances(u, v))
            kernel = self.linear_[h] * (u @ v.T) + self.smooth_[h] * smooth
            attention = cho_solve((self.factors_[h], True), kernel.T.astype(np.float32)).T
            predicted += (attention @ self.targets_) * self.mixing_[h]
        return predicted

    def gene_importance(self, X: np.ndarray) -> np.ndarray:
        """Weight of each source gene (p) in the comparison of samples, times its spread.

        The root mean square over heads of the learned gene weights, times that of the standardised gene over ``X`` (rows
        × p, NaN allowed), which is 1 over the training rows.
        """
        return np.sqrt(np.square(self.gene_weights_[:, : X.shape[1]]).mean(axis=0)) * spread(self.scaler_.transform(X))

    def _described(self, X: np.ndarray, tissue: np.ndarray | None) -> np.ndarray:
        """Scaled genes, and a column that marks each tissue; a tissue not seen in training is none of them."""
        genes = self.scaler_.transform(X)
        if tissue is None or not len(self.tissues_):
            return np.pad(genes, ((0, 0), (0, len(self.tissues_))))
        return np.hstack([genes, (np.asarray(tissue).astype(str)[:, None] == self.tissues_).astype(np.float32)])

    def _member(
        self, i: int, x: Tensor, y: Tensor, groups: np.ndarray, fold: tuple[np.ndarray, np.ndarray]
    ) -> tuple[Network, int]:
        """A network at the step with the least error on the fold's left-out rows, and that step."""
        import torch

        from scgx.nn import Episodes, masked_error, predict

        train, test = fold
        network, generator = self._network(x, y.shape[1], self.seed + 1000 * i)
        share = 1 if x.shape[1] <= _MANY_GENES else 2
        max_rows = self.episode_rows // share
        episodes = Episodes(learning_rate=self.learning_rate, max_rows=max_rows, max_targets=self.max_targets)
        steps = episodes.steps(network, x[train], y[train], groups[train], generator)
        rng = np.random.default_rng(self.seed)
        support = rng.permutation(train)[: min(_CHECK_ROWS // share, self.max_rows)]
        columns = torch.from_numpy(np.sort(rng.permutation(y.shape[1])[:_CHECK_TARGETS]))
        values, truth = y[support][:, columns], y[test][:, columns]
        best, chosen = np.inf, 0
        for step in range(0, self.max_steps + 1, _CHECK_EVERY):
            deque(islice(steps, _CHECK_EVERY if step else 0), maxlen=0)
            with torch.no_grad():
                error = float(masked_error(predict(network, x[test], x[support], values, columns), truth))
            if error < best:
                best, chosen, state = error, step, copy.deepcopy(network.state_dict())
            if step - chosen >= self.patience * _CHECK_EVERY:
                break
        network.load_state_dict(state)
        return network, chosen

    def _network(self, x: Tensor, n_targets: int, seed: int) -> tuple[Network, Generator]:
        """Fresh weights, from the seed."""
        import torch

        from scgx.nn import SampleAttention as Network

        generator = torch.Generator().manual_seed(seed)
        # in units of the standardised gene: s^(1/2) more for a gene of large variance is Pareto scaling
        pareto = 0.5 * torch.from_numpy(np.log(np.maximum(self.scaler_.scale_, 1e-6)))
        pareto = pareto - pareto.mean()
        noise = 0.1 * torch.randn(self.n_heads, x.shape[1], generator=generator)
        tissues = torch.full((len(self.tissues_),), 0.5 * np.log(_TISSUE_SHARE * len(pareto)))
        heads = [torch.cat([pareto * (h % 2 == 0), tissues]) for h in range(self.n_heads)]
        return Network(torch.stack(heads) + noise, n_targets, generator), generator

    def _keep(self, networks: list[Network], support: Tensor) -> None:
        """Turn all heads of all networks and their support into arrays that predict."""
        import torch

        with torch.no_grad():
            self.gene_weights_ = _stacked(network.log_weights.exp() / support.shape[1] ** 0.5 for network in networks)
            self.linear_ = _stacked(network.linear.exp() for network in networks)
            self.smooth_ = _stacked(network.smooth.exp() for network in networks)
            self.widths_ = _stacked(network.width.exp() for network in networks)
            self.factors_ = _stacked(network.factors(support) for network in networks)
            self.mixing_ = _stacked(network.mixing.softmax(0) / len(networks) for network in networks)
        self.support_ = support.numpy()


def _stacked(parts: Iterable[Tensor]) -> np.ndarray:
    return np.concatenate([part.numpy() for part in parts])
