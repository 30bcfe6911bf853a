from __future__ import annotations

from typing import Literal, Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean
from scgx.estimators._importance import spread
from scgx.estimators._shared_genes import average_probes, split_pairs


class SameGene(BaseTranslator):
    """A target gene from the same gene on the source panel; the training mean where panels share no such gene.

    Parameters
    ----------
    pairs
        k × 2 integers: source column, target column of a shared gene. Several source probes of a target gene are
        averaged.
    fit_method
        ``"affine"``: y = a + b x per gene, the least-squares slope shrunk towards the one that genes have in common
        as far as its own standard error asks for: with few pairs genes share a slope, with many each has its own.
        ``"copy"``: the source value itself, the baseline of anyone who merges tables by gene name.
    """

    def __init__(self, pairs: np.ndarray | None = None, *, fit_method: Literal["affine", "copy"] = "affine") -> None:
        self.pairs = pairs
        self.fit_method = fit_method

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Fit intercept and slope of each shared gene. See :meth:`BaseTranslator.fit`."""
        self.source_, self.target_ = split_pairs(self.pairs)
        self.shared_ = np.unique(self.target_)
        self.center_ = column_mean(X)
        self.mean_ = column_mean(Y)
        if self.fit_method == "copy":
            self.slope_ = np.ones(len(self.shared_), dtype=np.float32)
            self.offset_ = np.zeros(len(self.shared_), dtype=np.float32)
            return self
        x, y = average_probes(X, self.source_, self.target_), Y[:, self.shared_]
        used = np.isfinite(x) & np.isfinite(y)
        x_mean, y_mean = column_mean(np.where(used, x, np.nan)), column_mean(np.where(used, y, np.nan))
        slope = _slopes(np.where(used, x - x_mean, 0), np.where(used, y - y_mean, 0), used.sum(axis=0))
        self.slope_ = slope.astype(np.float32)
        self.offset_ = (y_mean - slope * x_mean).astype(np.float32)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        predicted = np.tile(self.mean_, (len(X), 1))
        x = average_probes(np.where(np.isfinite(X), X, self.center_), self.source_, self.target_)
        predicted[:, self.shared_] = self.offset_ + self.slope_ * x
        return predicted

    def gene_importance(self, X: np.ndarray) -> np.ndarray:
        """How far each source gene moves the predictions of these rows, p, in target units.

        The slope, split among the probes of a target gene, times the root mean square deviation of the gene from its
        training mean over ``X`` (rows × p, NaN allowed); 0 for a gene that is on one panel only.
        """
        column = np.searchsorted(self.shared_, self.target_)
        slope = self.slope_[column] / np.bincount(column)[column]
        squared = np.bincount(self.source_, weights=slope**2, minlength=X.shape[1])
        return np.sqrt(squared) * spread(np.where(np.isfinite(X), X - self.center_, 0))


def _slopes(dx: np.ndarray, dy: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Slope of each gene from centred pairs, shrunk to the slope that genes have in common.

    Least-squares slopes b_g with variance v_g are taken as drawn from N(β, τ²), a random-effects meta-analysis: β is
    their weighted mean, τ² the moment estimate of DerSimonian & Laird (1986), and the slope (b_g τ² + β v_g) / (τ² +
    v_g). Residual variances are pulled to their mean with the weight of four rows, so that three pairs give no
    certainty.
    """
    xx = (dx**2).sum(axis=0)
    known = (n >= 3) & (xx > 1e-8)
    if not known.any():
        return np.zeros(len(n))
    xx, degrees = np.where(known, xx, 1), np.maximum(n - 2, 0)
    slope = np.where(known, (dx * dy).sum(axis=0) / xx, 0)
    residual = ((dy - slope * dx) ** 2).sum(axis=0)
    pooled = residual[known].sum() / degrees[known].sum()
    variance = np.maximum((4 * pooled + residual) / (4 + degrees) / xx, 1e-12)
    weight = np.where(known, 1 / variance, 0)
    common = (weight * slope).sum() / weight.sum()
    excess = (weight * (slope - common) ** 2).sum() - (known.sum() - 1)
    between = max(0.0, excess / max(weight.sum() - (weight**2).sum() / weight.sum(), 1e-12))
    weight = np.where(known, 1 / (variance + between), 0)
    common = (weight * slope).sum() / weight.sum()
    shrunk = (slope * between + common * variance) / (between + variance)
    return np.where(known, shrunk, common)
