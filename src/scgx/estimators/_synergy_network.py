from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np

from scgx._core.drug_pairs import DrugPairs
from scgx._core.molecules import molecule_graphs
from scgx.estimators._base import group_folds
from scgx.estimators._synergy import BaseSynergy, is_binary
from scgx.estimators._synergy_features import dividing_bits, standard

if TYPE_CHECKING:
    import torch

    from scgx.nn import SynergyNetwork

_N_BITS = 1024
_BATCH = 128
_LEARNING_RATE = 1e-3
_PATIENCE = 5


class NetworkSynergy(BaseSynergy):
    """A torch network of two molecules and a line, trained on the squared error (of labels: the Brier score).

    The number of epochs is chosen on left-out pairs of drugs, then the network is trained anew on all. Subclasses say
    which network.

    Parameters
    ----------
    hidden
        Units of the hidden layers over both molecules and the line.
    dropout
        Share of hidden units left out at each step.
    weight_decay
        Of Adam, decoupled.
    max_epochs
        Epochs at most.
    seed
        Seed of fold, weights, batches and dropout; torch's global generator is left as it was.
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (512, 128),
        dropout: float = 0.2,
        weight_decay: float = 1e-2,
        max_epochs: int = 40,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.seed = seed

    @abstractmethod
    def _network(self, pairs: DrugPairs, lines: torch.Tensor) -> SynergyNetwork:
        """A fresh network for the drugs and lines of ``pairs``."""

    def fit(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """Choose the number of epochs, then train on all. See :meth:`BaseSynergy.fit`."""
        from scgx.nn import Training

        used = pairs.take(np.arange(len(pairs)))
        self.binary_, self.mean_, self.scale_ = is_binary(y), float(np.mean(y)), float(np.std(y)) or 1.0
        self.genes_, self.bits_ = standard(used.expression), dividing_bits(used.fingerprint, _N_BITS)
        x, target = _index(used), ((y - self.mean_) / self.scale_).astype(np.float32)[:, None]
        training = Training(
            make=lambda: self._of(used),
            learning_rate=_LEARNING_RATE,
            weight_decay=self.weight_decay,
            batch_size=_BATCH,
            seed=self.seed,
        )
        train, test = group_folds(len(x), used.pair, n_folds=5, seed=self.seed)[0]
        self.n_epochs_ = training.choose_epochs(
            (x[train], target[train]), (x[test], target[test]), max_epochs=self.max_epochs, patience=_PATIENCE
        )
        network = training.train(x, target, n_epochs=self.n_epochs_)
        self.weights_ = {name: weight.numpy() for name, weight in network.state_dict().items()}
        return self

    def predict(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`BaseSynergy.predict`. Probabilities are cut at 0 and 1."""
        import torch

        from scgx.nn import predict_rows

        with torch.random.fork_rng(devices=[]):
            network = self._of(pairs)
        network.load_state_dict({name: torch.from_numpy(weight) for name, weight in self.weights_.items()})
        predicted = predict_rows(network, _index(pairs))[:, 0] * self.scale_ + self.mean_
        return np.clip(predicted, 0, 1) if self.binary_ else predicted

    def _of(self, pairs: DrugPairs) -> SynergyNetwork:
        import torch

        mean, spread = self.genes_
        return self._network(pairs, torch.from_numpy(((pairs.expression - mean) / spread).astype(np.float32)))


class DeepSynergy(NetworkSynergy):
    """DeepSynergy in form: a multilayer perceptron over both fingerprints and the expression of the line.

    Parameters and training: :class:`NetworkSynergy`. Both orders of the drugs are averaged in training and prediction.

    References
    ----------
    Preuer et al. (Bioinformatics 2018).
    """

    def _network(self, pairs: DrugPairs, lines: torch.Tensor) -> SynergyNetwork:
        import torch

        from scgx.nn import Fingerprints, SynergyNetwork

        drugs = Fingerprints(torch.from_numpy(pairs.fingerprint[:, self.bits_]))
        return SynergyNetwork(drugs, lines, hidden=self.hidden, dropout=self.dropout)


class DeepDDS(NetworkSynergy):
    """DeepDDS in form: graph attention over the molecules, a perceptron over expression, one over all of it.

    Parameters and training: :class:`NetworkSynergy`. Both orders of the drugs are averaged in training and prediction.

    References
    ----------
    Wang et al. (Brief. Bioinform. 2022).
    """

    def _network(self, pairs: DrugPairs, lines: torch.Tensor) -> SynergyNetwork:
        import torch

        from scgx.nn import Molecules, SynergyNetwork

        atoms, bonds = (torch.from_numpy(part) for part in molecule_graphs(pairs.smiles))
        drugs = Molecules(atoms, bonds, n_outputs=128)
        return SynergyNetwork(drugs, lines, line_hidden=(512, 128), hidden=self.hidden, dropout=self.dropout)


def _index(pairs: DrugPairs) -> np.ndarray:
    return np.stack([pairs.a, pairs.b, pairs.line], axis=1).astype(np.int64)
