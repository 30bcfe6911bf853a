from __future__ import annotations

from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from scgx.estimators._kernel_weights import kernel_weights
from scgx.estimators._reactome_conditions import (
    BaseReactome,
    ReactomeConditions,
    cell_means,
    drug_profiles,
    one_hot,
    similarity_elsewhere,
)
from scgx.estimators._reactome_mean import ReactomeMean
from scgx.estimators._response_features import tanimoto

_CELLS_TO_WEIGH = 700  # enough to tell the weights; their cost grows with the cube


class ReactomeGaussianProcess(BaseReactome):
    r"""Gaussian process over drug × organ cells on what departs from the design mean, in closed form for all genes.

    The residuals of :class:`ReactomeMean` are averaged over the conditions of a cell. Of two cells (d, o), (d′, o′)

    .. math:: k = s_o s_{o'} \left( w_1 [d = d'] + w_2 T^2 + w_3 T^2 [o = o'] + w_4 E_o(d, d') [o = o'] \right)

    where :math:`s_o` is how strongly the organ responds (root mean square of its residuals over that of all organs, the
    latter counted as two more cells), T is the Tanimoto similarity of their fingerprints (1 within a drug) and :math:`E_o` says how alike the drugs
    are through the organs other than o (:func:`similarity_elsewhere`). The noise of a cell of n conditions is
    :math:`\sigma^2 + \tau^2 / n`. All genes share the kernel. Weights and noises maximise the marginal likelihood, over
    cells and not conditions: among conditions, repeats of one cell would drown what one cell says about another.

    Parameters
    ----------
    seed
        Draws the drugs of the marginal likelihood where there are more than 700 cells.

    Attributes
    ----------
    weights_
        :math:`w_1, …, w_4`, 0 for a component that is not there (no structures, one organ).
    scale_
        :math:`s_o` of each organ in ``organs_``; 1 for any other.
    noise_
        :math:`\sigma^2, \tau^2`.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, chapters 2 and 5; Ralaivola et al. (2005),
    Graph kernels for chemical informatics, Neural Networks 18 (Tanimoto kernel).
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, conditions: ReactomeConditions, values: np.ndarray) -> Self:
        """Weigh the kernels, then solve. See :meth:`BaseReactome.fit`."""
        self.mean_ = ReactomeMean().fit(conditions, values)
        residuals = values - self.mean_.predict(conditions)
        first, self.count_, of_cell = cell_means(conditions, residuals.astype(float))
        self.cells_ = conditions.take(first)
        self.drugs_, self.organs_ = np.unique(conditions.drug), np.unique(conditions.organ)
        profiles, measured = drug_profiles(self.cells_, of_cell.astype(np.float32), self.drugs_, self.organs_)
        self.similarity_, _ = similarity_elsewhere(profiles, measured)
        self.scale_ = _organ_scale(one_hot(self.cells_.organ, self.organs_), of_cell)
        self._weigh(of_cell)
        K = self.covariance(self.cells_, self.cells_) + np.diag(self.noise(self.count_))
        self.factor_ = cho_factor(K, lower=True)
        self.coefficients_ = cho_solve(self.factor_, of_cell)
        return self

    def predict(self, conditions: ReactomeConditions) -> np.ndarray:
        """Design mean and posterior mean, conditions × genes."""
        return self.mean_.predict(conditions) + (self.covariance(conditions, self.cells_) @ self.coefficients_).astype(
            np.float32
        )

    def noise(self, count: np.ndarray) -> np.ndarray:
        """Noise variance of the mean of so many conditions of a cell, in squared units of the values a gene."""
        return self.noise_[0] + self.noise_[1] / count

    def covariance(self, a: ReactomeConditions, b: ReactomeConditions) -> np.ndarray:
        """Prior covariance of cells, a × b, the mean over genes."""
        return np.tensordot(self.weights_, np.stack(self._components(a, b)), axes=1)

    def posterior_covariance(self, conditions: ReactomeConditions) -> np.ndarray:
        """Covariance of cells given what was measured, without noise, conditions × conditions."""
        across = self.covariance(self.cells_, conditions)
        return self.covariance(conditions, conditions) - across.T @ cho_solve(self.factor_, across)

    def _weigh(self, of_cell: np.ndarray) -> None:
        rows = self._rows_to_weigh()
        cells = self.cells_.take(rows)
        components = self._components(cells, cells)
        # a component that says nothing but what the noise says cannot be told from it
        used = [k for k, K in enumerate(components) if np.abs(K - np.diag(np.diag(K))).max(initial=0) > 1e-9]
        repeats = np.diag(1 / self.count_[rows])
        kernels = [components[k] for k in used] + ([repeats] if np.ptp(self.count_[rows]) else [])
        products = of_cell[rows] @ of_cell[rows].T / of_cell.shape[1]
        weights, noise = kernel_weights(kernels, products)
        self.weights_ = np.zeros(len(components))
        self.weights_[used] = weights[: len(used)]
        self.noise_ = (noise, float(weights[len(used)]) if len(weights) > len(used) else 0.0)

    def _rows_to_weigh(self) -> np.ndarray:
        """Cells of whole drugs, not too many."""
        drugs = np.random.default_rng(self.seed).permutation(self.drugs_)
        size = one_hot(self.cells_.drug, drugs).sum(axis=0)
        return np.flatnonzero(np.isin(self.cells_.drug, drugs[np.cumsum(size) <= _CELLS_TO_WEIGH]))

    def _components(self, a: ReactomeConditions, b: ReactomeConditions) -> list[np.ndarray]:
        same_drug = (a.drug[:, None] == b.drug).astype(float)
        same_organ = (a.organ[:, None] == b.organ).astype(float)
        structure = np.zeros_like(same_drug)
        if a.features is not None and b.features is not None:
            structure = np.where(same_drug > 0, 1.0, tanimoto(a.features, b.features) ** 2)
        scale = np.outer(self._scale_of(a), self._scale_of(b))
        elsewhere = self._elsewhere(a, b) * same_organ
        return [scale * K for K in (same_drug, structure, structure * same_organ, elsewhere)]

    def _scale_of(self, conditions: ReactomeConditions) -> np.ndarray:
        member = one_hot(conditions.organ, self.organs_)
        return np.where(member.any(axis=1), member @ self.scale_, 1.0)

    def _elsewhere(self, a: ReactomeConditions, b: ReactomeConditions) -> np.ndarray:
        elsewhere = np.zeros((len(a), len(b)))
        for position, organ in enumerate(self.organs_):
            i, j = np.flatnonzero(a.organ == organ), np.flatnonzero(b.organ == organ)
            left, right = one_hot(a.drug[i], self.drugs_), one_hot(b.drug[j], self.drugs_)
            elsewhere[np.ix_(i, j)] = left @ self.similarity_[position] @ right.T
        return elsewhere


def _organ_scale(member: np.ndarray, of_cell: np.ndarray) -> np.ndarray:
    """Root mean square of each organ's cells relative to all, shrunk by two average cells."""
    power = np.square(of_cell).mean(axis=1)
    total = max(float(power.mean()), np.finfo(float).tiny)
    return np.sqrt((member.T @ power / total + 2) / (member.sum(axis=0) + 2))
