from __future__ import annotations

from typing import Self

import numpy as np

from scgx._core.drug_pairs import DrugPairs
from scgx.estimators._response_features import tanimoto
from scgx.estimators._synergy import BaseSynergy, is_binary
from scgx.estimators._synergy_features import standard

#: what a line shares with all others, against what it shares with those of similar expression
_COMMON = 0.3
_MAX_STEPS, _TOLERANCE = 300, 1e-3
_EDGE = 0.02


class PairKernel(BaseSynergy):
    r"""Kernel ridge regression on unordered pairs of drugs × cell lines.

    With a kernel k of drugs and l of lines, the kernel of two rows is

    .. math::
        K = \Bigl(1 + k_{ac} + k_{bd} + k_{ad} + k_{bc} + k_{ac} k_{bd} + k_{ad} k_{bc}\Bigr)
            \bigl(0.3 + 0.7\, l\bigr) ,

    for the pairs {a, b} and {c, d}: drugs that add up, pairs that interact, and both anew in every line. Both
    kernels know identity and likeness: :math:`k = (1-\theta)\,[a = c] + \theta\,\text{Tanimoto}(a, c)`, and l the same
    with a Gaussian kernel of standardised expression whose width is the median distance of the training lines. As K is
    a product over the grid of pairs × lines, the equations are solved by conjugate gradients without forming it.

    Parameters
    ----------
    penalty
        Ridge penalty.
    likeness
        θ, between 0 (identity alone) and 1.

    References
    ----------
    Basilico and Hofmann (ICML 2004) and Vert, Qiu and Noble (BMC Bioinformatics 2007) for kernels of pairs.
    """

    def __init__(self, penalty: float = 1.0, likeness: float = 0.5) -> None:
        self.penalty = penalty
        self.likeness = likeness

    def fit(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """Solve for the weights of the training pairs × lines. See :meth:`BaseSynergy.fit`."""
        used = pairs.take(np.arange(len(pairs)))
        self.binary_, self.mean_ = is_binary(y), float(np.mean(y))
        self.smiles_, self.fingerprint_, self.lines_ = used.smiles, used.fingerprint, used.lines
        self.gene_mean_, self.gene_spread_ = standard(used.expression)
        self.z_ = (used.expression - self.gene_mean_) / self.gene_spread_
        distance = _squared_distance(self.z_, self.z_)
        between = distance[~np.eye(len(distance), dtype=bool)]
        self.width_ = float(np.median(between)) if between.size and np.median(between) > 0 else 1.0
        self.pairs_, row = np.unique(np.sort(np.stack([used.a, used.b], axis=1), axis=1), axis=0, return_inverse=True)
        pair_kernel = _of_pairs(self._of_drugs(used), self.pairs_, self.pairs_)
        self.weight_ = _solve(pair_kernel, self._of_lines(used), row.ravel(), used.line, y - self.mean_, self.penalty)
        return self

    def predict(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`BaseSynergy.predict`. Probabilities beyond 0 and 1 are bent back."""
        asked, row = np.unique(np.sort(np.stack([pairs.a, pairs.b], axis=1), axis=1), axis=0, return_inverse=True)
        kernel = _of_pairs(self._of_drugs(pairs), asked, self.pairs_)
        grid = self.mean_ + kernel @ self.weight_ @ self._of_lines(pairs).T
        predicted = grid[row.ravel(), pairs.line]
        return _squash(predicted) if self.binary_ else predicted

    def _of_drugs(self, pairs: DrugPairs) -> np.ndarray:
        """Kernel of the drugs of ``pairs`` and those of training."""
        same = pairs.smiles[:, None] == self.smiles_
        return (1 - self.likeness) * same + self.likeness * tanimoto(pairs.fingerprint, self.fingerprint_)

    def _of_lines(self, pairs: DrugPairs) -> np.ndarray:
        """Kernel of the lines of ``pairs`` and those of training, with what is common to all."""
        z = (pairs.expression - self.gene_mean_) / self.gene_spread_
        like = np.exp(-_squared_distance(z, self.z_) / self.width_)
        same = pairs.lines[:, None] == self.lines_
        return _COMMON + (1 - _COMMON) * (0.5 * same + 0.5 * like)


def _of_pairs(drugs: np.ndarray, asked: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Kernel of unordered pairs from that of drugs."""
    (a, b), (c, d) = asked.T, known.T
    ac, bd, ad, bc = (drugs[np.ix_(x, y)] for x, y in ((a, c), (b, d), (a, d), (b, c)))
    return 1 + ac + bd + ad + bc + ac * bd + ad * bc


def _solve(
    pair_kernel: np.ndarray,
    line_kernel: np.ndarray,
    pair: np.ndarray,
    line: np.ndarray,
    y: np.ndarray,
    penalty: float,
) -> np.ndarray:
    """Weights on the grid of pairs × lines, those of repeats added up."""
    from scipy.sparse.linalg import LinearOperator, cg

    def on_grid(weight: np.ndarray) -> np.ndarray:
        cell = pair * len(line_kernel) + line
        return np.bincount(cell, weight, len(pair_kernel) * len(line_kernel)).reshape(len(pair_kernel), -1)

    def product(weight: np.ndarray) -> np.ndarray:
        return (pair_kernel @ on_grid(weight) @ line_kernel)[pair, line] + penalty * weight

    operator = LinearOperator((len(y), len(y)), matvec=lambda weight: product(weight.ravel()), dtype=float)
    weight, _ = cg(operator, y, rtol=_TOLERANCE, maxiter=_MAX_STEPS)
    return on_grid(weight)


def _squared_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import cdist

    return cdist(a, b, "sqeuclidean")


def _squash(value: np.ndarray) -> np.ndarray:
    """Values between 0 and 1 in the same order: unchanged from 0.02 to 0.98, bent towards 0 and 1 beyond."""
    inside = np.clip(value, _EDGE, 1 - _EDGE)
    beyond = value - inside
    return inside + np.sign(beyond) * _EDGE * (1 - np.exp(-np.abs(beyond) / _EDGE))
