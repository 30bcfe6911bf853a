from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._response_features import require_features


class Bilinear(BaseResponse):
    r"""Bilinear model of genes and perturbations, :math:`D \approx G W P^\top + b`.

    D (genes × conditions) holds the changes, b their mean. G (genes × K) are the leading left singular vectors of the
    centred changes; a row of P (conditions × K) says what is known of a perturbation: the sum over its names of the rows
    of G that belong to the perturbed genes, or of the leading principal coordinates of their features. Then
    :math:`W = (G^\top G + \lambda I)^{-1} G^\top (D - b) P (P^\top P + \lambda I)^{-1}`.

    Parameters
    ----------
    genes
        Names of the genes of D: perturbations are then described by their own rows of G, and one that is no measured
        gene has the mean change. ``None``: they are described by their features.
    n_components
        K, at most.
    penalty
        λ.

    References
    ----------
    Ahlmann-Eltze, Huber and Anders (2025), Nature Methods, whose K = 10 and λ = 0.1 are taken. They let P be the rows of
    G, or any embedding of genes.
    """

    def __init__(self, genes: Sequence[str] | None = None, *, n_components: int = 10, penalty: float = 0.1) -> None:
        self.genes = genes
        self.n_components = n_components
        self.penalty = penalty

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        """Solve for W. See :meth:`BaseResponse.fit`.

        Raises
        ------
        ValueError
            If there are neither ``genes`` nor features, or as many ``genes`` as columns are not given.
        """
        if self.genes is not None and len(self.genes) != delta.shape[1]:
            raise ValueError(f"`genes` has {len(self.genes)} names for {delta.shape[1]} genes of the changes.")
        self.mean_ = delta.mean(axis=0)
        centred = delta - self.mean_
        left, size, _ = np.linalg.svd(centred.T, full_matrices=False)
        rank = max(int((size > 1e-9 * max(size[0], 1e-300)).sum()), 1)
        self.G_ = left[:, : min(self.n_components, rank)]
        if self.genes is None:
            sums = _feature_sums(conditions)
            self.feature_mean_ = sums.mean(axis=0)
            _, _, axes = np.linalg.svd(sums - self.feature_mean_, full_matrices=False)
            self.axes_ = axes[: self.n_components].T
        P = self._perturbations(conditions)
        right = np.linalg.solve(P.T @ P + self.penalty * np.eye(P.shape[1]), P.T @ centred)  # K × genes
        G = self.G_
        self.W_ = np.linalg.solve(G.T @ G + self.penalty * np.eye(G.shape[1]), G.T @ right.T)
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        """Mean change and what is known of the perturbations adds, conditions × genes."""
        return self.mean_ + self._perturbations(conditions) @ self.W_.T @ self.G_.T

    def _perturbations(self, conditions: Conditions) -> np.ndarray:
        """P, conditions × K."""
        if self.genes is None:
            return (_feature_sums(conditions) - self.feature_mean_) @ self.axes_
        row = {str(name): k for k, name in enumerate(self.genes)}
        known = [[row[name] for name in names if name in row] for names in conditions.perturbations]
        return np.stack([self.G_[rows].sum(axis=0) for rows in known])


def _feature_sums(conditions: Conditions) -> np.ndarray:
    """Sum of the features of the names of each condition, of which conditions hold the mean."""
    return require_features(conditions) * np.array([len(names) for names in conditions.perturbations])[:, None]
