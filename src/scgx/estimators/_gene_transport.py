from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scgx.estimators._gene_cca import AnchoredCCA
from scgx.estimators._gene_scores import DotScores, GeneMapper, silent
from scgx.estimators._gene_similarity import LEVEL_WEIGHT, gene_profiles

_SAMPLE = 1000


class GeneTransport(GeneMapper):
    r"""Entropic optimal transport between the genes of two species.

    Every gene has the same mass, so that no reference gene can be the partner of all: the plan is
    :math:`\log \pi_{gh} = (\varphi_g + \psi_h - c_{gh}) / \varepsilon`, with :math:`c` the squared distance of the
    profiles' shapes (unit length) and levels. With anchors the distance is that of their canonical variates, weighted
    by :math:`\sqrt{\rho / (1 - \rho^2)}` (:class:`AnchoredCCA`). The dual :math:`\psi` comes from at most 1,000 query
    genes, the plan of the others from :math:`\psi`, so that the matrix of all pairs is never held.

    Parameters
    ----------
    regularization
        :math:`\varepsilon` in units of the mean cost.
    level_weight
        Weight of the squared difference of levels, as in :class:`ProfileSimilarity`; of no use with anchors.
    seed
        Chooses the query genes of the dual, and the anchors held out.

    Raises
    ------
    ImportError
        Without POT.

    References
    ----------
    Flamary et al. (2021), POT: Python Optimal Transport, JMLR; Cuturi (2013), Sinkhorn distances, NeurIPS.
    """

    scale = 1.0

    def __init__(self, regularization: float = 0.05, *, level_weight: float = LEVEL_WEIGHT, seed: int = 0) -> None:
        require_pot()
        self.regularization = regularization
        self.level_weight = level_weight
        self.seed = seed

    def fit(self, query: np.ndarray, reference: np.ndarray, anchors: np.ndarray | None = None) -> Self:
        """Learn the common space of the anchors, if there are any. See :meth:`GeneMapper.fit`."""
        self.supervised = anchors is not None
        self._cca = AnchoredCCA(self.seed).fit(query, reference, anchors) if self.supervised else None
        return self

    def scores(self, query: np.ndarray, reference: np.ndarray) -> PlanScores:
        """Log of the share of a query gene's mass that each reference gene receives. See :meth:`GeneMapper.scores`."""
        x, y = self._features(query, reference)
        known_x, known_y = np.isfinite(x).all(axis=1), np.isfinite(y).all(axis=1)
        x, y = np.nan_to_num(x), np.nan_to_num(y)
        cost_x, cost_y = (x**2).sum(axis=1), (y**2).sum(axis=1)
        rows = np.flatnonzero(known_x)
        if len(rows) > _SAMPLE:
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, _SAMPLE, replace=False))
        cost = cost_x[rows, None] + cost_y[known_y] - 2 * x[rows] @ y[known_y].T
        epsilon = self.regularization * max(float(cost.mean()), 1e-12)
        bias = np.full(len(y), -np.inf)
        bias[known_y] = (_dual(cost, epsilon) - cost_y[known_y]) / epsilon
        return PlanScores(
            (2 * x / epsilon).astype(np.float32), y.astype(np.float32), silent(known_x), bias.astype(np.float32)
        )

    def _features(self, query: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._cca is None:
            return _shape_and_level(query, self.level_weight), _shape_and_level(reference, self.level_weight)
        u, v = self._cca.variates(query, reference)
        rho = self._cca.correlations_
        weight = np.sqrt(rho / (1 - rho**2))
        for side, values in ((u, query), (v, reference)):
            side[~np.isfinite(values).any(axis=1)] = np.nan
        return u * weight, v * weight


@dataclass(frozen=True)
class PlanScores(DotScores):
    """Logarithm of a transport plan, each query gene of mass 1."""

    def block(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """See :meth:`GeneScores.block`."""
        block = super().block(rows)
        top = block.max(axis=1, keepdims=True)
        top[~np.isfinite(top)] = 0
        block -= top
        with np.errstate(divide="ignore"):
            total = np.log(np.exp(block).sum(axis=1, keepdims=True))
        return block - np.where(np.isfinite(total), total, 0)


def require_pot() -> Any:
    """Return the module, or say which extra brings it."""
    try:
        import ot
    except ImportError as error:
        raise ImportError("method='transport' needs POT: `pip install 'scgx-tools[species]'`.") from error
    return ot


def _shape_and_level(values: np.ndarray, weight: float) -> np.ndarray:
    profiles = gene_profiles(values)
    length = np.maximum(np.linalg.norm(profiles.shape, axis=1, keepdims=True), 1e-12)
    features = np.hstack([profiles.shape / length, np.sqrt(2 * weight) * profiles.level[:, None]])
    features[~profiles.known] = np.nan
    return features


def _dual(cost: np.ndarray, epsilon: float) -> np.ndarray:
    ot = require_pot()
    n, m = cost.shape
    cost = cost - cost.min(
        axis=1, keepdims=True
    )  # a constant a row changes no plan and keeps the kernel from vanishing
    _, log = ot.sinkhorn(
        np.full(n, 1 / n),
        np.full(m, 1 / m),
        cost,
        epsilon,
        method="sinkhorn_stabilized",
        numItermax=50,
        stopThr=1e-3,
        log=True,
        warn=False,
    )
    return epsilon * log["logv"]
