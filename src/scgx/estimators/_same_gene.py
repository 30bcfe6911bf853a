from __future__ import annotations

from typing import Literal, Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean
from scgx.estimators._shared_genes import average_probes, split_pairs


class SameGene(BaseTranslator):
    """A target gene from the same gene on the source panel; the training mean where panels share no such gene.

    Parameters
    ----------
    pairs
        k × 2 integers: source column, target column of a shared gene. Several source probes of a target gene are
        averaged.
    fit_method
        ``"affine"``: y = a + b x by least squares per gene, the slope shrunk by the positive-part James–Stein
        factor 1 − s²/b² (s: its standard error), so that an unrelated probe pair falls back to the mean.
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
        x, y = average_probes(X, self.source_, self.target_), Y[:, self.shared_]
        used = np.isfinite(x) & np.isfinite(y)
        n = used.sum(axis=0)
        x_mean, y_mean = column_mean(np.where(used, x, np.nan)), column_mean(np.where(used, y, np.nan))
        dx, dy = np.where(used, x - x_mean, 0), np.where(used, y - y_mean, 0)
        if self.fit_method == "copy":
            self.slope_ = np.ones(len(self.shared_), dtype=np.float32)
            self.offset_ = np.zeros(len(self.shared_), dtype=np.float32)
            return self
        xx = np.maximum((dx**2).sum(axis=0), 1e-12)
        slope = (dx * dy).sum(axis=0) / xx
        variance = ((dy - slope * dx) ** 2).sum(axis=0) / np.maximum(n - 2, 1) / xx
        shrunk = slope * np.clip(1 - variance / np.maximum(slope**2, 1e-12), 0, 1)
        shrunk[n < 3] = 0  # two points fit any line
        self.slope_ = shrunk.astype(np.float32)
        self.offset_ = (y_mean - shrunk * x_mean).astype(np.float32)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        predicted = np.tile(self.mean_, (len(X), 1))
        x = average_probes(np.where(np.isfinite(X), X, self.center_), self.source_, self.target_)
        predicted[:, self.shared_] = self.offset_ + self.slope_ * x
        return predicted
