from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from scgx.estimators._gene_scores import DotScores, GeneMapper, silent

_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
#: with this many conditions at most, their products are features too
_PRODUCTS = 16
_HELD_OUT, _FEWEST = 500, 12


class AnchoredCCA(GeneMapper):
    r"""Canonical correlations learned on known partners, compared by likelihood.

    With regularised covariances of the anchors, :math:`C_x^{-1/2} C_{xy} C_y^{-1/2} = U \operatorname{diag}(\rho) V^T`
    gives variates u and v of every gene whose k-th pair correlates by :math:`\rho_k`. If (u, v) of partners is
    Gaussian, the log likelihood ratio of "partners" against "unrelated" is

    .. math:: s = \sum_k \frac{\rho_k}{1-\rho_k^2} u_k v_k - \frac{\rho_k^2}{2(1-\rho_k^2)}(u_k^2 + v_k^2)
              - \tfrac12 \log(1 - \rho_k^2).

    Conditions may differ between the species. With 16 at most, their products are features too,
    since a likeness of two organ profiles is not linear in them. The penalty and the correlations come from a quarter
    of the anchors held out.

    Parameters
    ----------
    seed
        Chooses the anchors held out.

    References
    ----------
    Bach & Jordan (2005), A probabilistic interpretation of canonical correlation analysis; Ioffe (2006), Probabilistic
    linear discriminant analysis, ECCV (the likelihood ratio).
    """

    supervised = True
    scale = 1.0

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, query: np.ndarray, reference: np.ndarray, anchors: np.ndarray | None = None) -> Self:
        """Choose the penalty, find the variates. See :meth:`GeneMapper.fit`.

        Raises
        ------
        ValueError
            If there are fewer than 12 anchors among measured genes.
        """
        self._scalers = _Scaler(query), _Scaler(reference)
        x, y = self._scalers[0](query), self._scalers[1](reference)
        anchors = np.empty((0, 2), dtype=int) if anchors is None else np.asarray(anchors)
        anchors = anchors[_measured(query)[anchors[:, 0]] & _measured(reference)[anchors[:, 1]]]
        if len(anchors) < _FEWEST:
            raise ValueError(
                f"canonical correlation needs {_FEWEST} pairs of orthologues among the measured genes at least; found "
                f"{len(anchors)}: pass a larger table as `orthologs`, or use method='reactome'."
            )
        a, b = x[anchors[:, 0]], y[anchors[:, 1]]
        order = np.random.default_rng(self.seed).permutation(len(a))
        out, kept = order[: len(a) // 4], order[len(a) // 4 :]
        tried = [self._held_out(a, b, kept, out, penalty) for penalty in _PENALTIES]
        best = int(np.argmax([quality for quality, _ in tried]))
        self.correlations_ = tried[best][1]
        self.penalty_ = _PENALTIES[best]
        self._maps = _canonical(a, b, self.penalty_)
        return self

    def scores(self, query: np.ndarray, reference: np.ndarray) -> DotScores:
        """See :meth:`GeneMapper.scores`."""
        u, v = self.variates(query, reference)
        known = _measured(query), _measured(reference)
        return likelihood_ratio(u, v, self.correlations_, *known)

    def variates(self, query: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Canonical variates of all genes, genes × components."""
        u = (self._scalers[0](query) - self._maps[0][1]) @ self._maps[0][0]
        v = (self._scalers[1](reference) - self._maps[1][1]) @ self._maps[1][0]
        return u, v

    def _held_out(
        self, a: np.ndarray, b: np.ndarray, kept: np.ndarray, out: np.ndarray, penalty: float
    ) -> tuple[float, np.ndarray]:
        """Mean reciprocal rank on anchors left out, and the correlations there."""
        (A, mean_a), (B, mean_b) = _canonical(a[kept], b[kept], penalty)
        u, v = (a[out] - mean_a) @ A, (b[out] - mean_b) @ B
        size = np.sqrt((u**2).mean(axis=0) * (v**2).mean(axis=0))
        correlations = np.clip((u * v).mean(axis=0) / np.maximum(size, 1e-12), 0, 0.98)
        rows = np.arange(min(len(out), _HELD_OUT))
        everywhere = np.ones(len(out), dtype=bool)
        scores = likelihood_ratio(u, v, correlations, everywhere, everywhere).block(rows)
        rank = 1 + (scores > scores[rows, rows][:, None]).sum(axis=1)
        return float((1 / rank).mean()), correlations


def likelihood_ratio(
    u: np.ndarray, v: np.ndarray, rho: np.ndarray, in_query: NDArray[np.bool_], in_reference: NDArray[np.bool_]
) -> DotScores:
    """Scores of :class:`AnchoredCCA` from variates (genes × components), their correlations and who was measured."""
    own = rho**2 / (2 * (1 - rho**2))
    return DotScores(
        (u * (rho / (1 - rho**2))).astype(np.float32),
        v.astype(np.float32),
        (silent(in_query) - u**2 @ own - 0.5 * np.log1p(-(rho**2)).sum()).astype(np.float32),
        (silent(in_reference) - v**2 @ own).astype(np.float32),
    )


def _canonical(a: np.ndarray, b: np.ndarray, penalty: float) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Projection and mean of both sides."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a, b = a - mean_a, b - mean_b
    W_a, W_b = _whitening(a, penalty), _whitening(b, penalty)
    U, rho, Vt = np.linalg.svd(W_a.T @ (a.T @ b / len(a)) @ W_b, full_matrices=False)
    return (W_a @ U, mean_a), (W_b @ Vt.T, mean_b)


def _whitening(a: np.ndarray, penalty: float) -> np.ndarray:
    C = a.T @ a / len(a)
    values, vectors = np.linalg.eigh(C + penalty * max(float(np.trace(C)) / len(C), 1e-12) * np.eye(len(C)))
    return vectors / np.sqrt(values)


def _measured(values: np.ndarray) -> NDArray[np.bool_]:
    return np.isfinite(values).any(axis=1)


class _Scaler:
    """Conditions centred (missing values 0), with their products where there are few, all of unit variance."""

    def __init__(self, values: np.ndarray) -> None:
        measured = np.isfinite(values)
        self.mean = np.where(measured, values, 0).sum(axis=0) / np.maximum(measured.sum(axis=0), 1)
        features = self._features(values)
        self.center, self.size = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-12)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return (self._features(values) - self.center) / self.size

    def _features(self, values: np.ndarray) -> np.ndarray:
        centred = np.nan_to_num(values - self.mean).astype(np.float64)
        if centred.shape[1] > _PRODUCTS:
            return centred
        i, j = np.triu_indices(centred.shape[1])
        return np.hstack([centred, centred[:, i] * centred[:, j]])
