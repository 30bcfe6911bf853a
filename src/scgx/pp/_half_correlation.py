"""Correlation of two halves of the replicates over conditions, without keeping the conditions."""

from __future__ import annotations

import numpy as np

_MIN_CONDITIONS = 3  # two points are always on a line
_CONSTANT = 1e-10  # of the mean square, below which a variance is rounding


class HalfCorrelation:
    """Sums over conditions of two halves; conditions in which either half of a gene is NaN are left out."""

    def __init__(self, n_genes: int) -> None:
        self._sums = np.zeros((6, n_genes))

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Take in one condition: the mean response of each gene in both halves."""
        measured = ~np.isnan(first) & ~np.isnan(second)
        a, b = np.where(measured, first, 0.0), np.where(measured, second, 0.0)
        self._sums += np.stack([measured, a, b, a * a, b * b, a * b])

    def reliability(self) -> np.ndarray:
        """Spearman-Brown corrected correlation of each gene, float32, NaN where it is not defined."""
        n, a, b, aa, bb, ab = self._sums
        enough = np.where(n >= _MIN_CONDITIONS, n, np.nan)
        a, b, aa, bb, ab = a / enough, b / enough, aa / enough, bb / enough, ab / enough
        var_a, var_b = aa - a * a, bb - b * b
        constant = (var_a <= _CONSTANT * aa) | (var_b <= _CONSTANT * bb)
        rho = np.clip((ab - a * b) / np.sqrt(np.where(constant, np.nan, var_a * var_b)), -1, 1)
        # below -1/3 the corrected value has no meaning as a correlation
        with np.errstate(divide="ignore"):
            return np.clip(2 * rho / (1 + rho), -1, 1).astype(np.float32)
