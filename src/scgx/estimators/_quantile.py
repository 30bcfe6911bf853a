from __future__ import annotations

from typing import Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean
from scgx.estimators._shared_genes import average_probes, split_pairs

_MAX_QUANTILES = 1000  # bounds what is kept a gene; with fewer rows each row is a quantile


class QuantileNormalization(BaseTranslator):
    """Feature-specific quantile normalisation [Franks18]_: same gene, same quantile.

    A source value's quantile among the training values of the gene is mapped onto the quantiles of the same gene
    on the target panel, so the marginal distribution is carried over whatever its shape. Rows are not used as
    pairs: the correlation of the two measurements is taken as one, so noise is carried over in full. A target
    without a shared gene gets its training mean.

    Parameters
    ----------
    pairs
        k × 2 integers: source column, target column of a shared gene. Several source probes of a target gene are
        averaged.

    Notes
    -----
    Values outside the training range get the extreme training target. Tied source values (zeros of counts) get
    the mean of the target quantiles that they span.

    References
    ----------
    .. [Franks18] Franks, Cai & Whitfield (2018), Feature specific quantile normalization enables cross-platform
       classification of molecular subtypes using gene expression data, Bioinformatics 34:1868.
    """

    def __init__(self, pairs: np.ndarray | None = None) -> None:
        self.pairs = pairs

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Learn the quantiles of each shared gene on both panels. See :meth:`BaseTranslator.fit`."""
        self.source_, self.target_ = split_pairs(self.pairs)
        self.center_, self.mean_ = column_mean(X), column_mean(Y)
        x, y = average_probes(X, self.source_, self.target_), Y[:, np.unique(self.target_)]
        self.known_ = np.flatnonzero(np.isfinite(x).any(axis=0) & np.isfinite(y).any(axis=0))
        levels = np.linspace(0, 1, min(len(X), _MAX_QUANTILES))
        self.source_quantiles_ = np.empty((len(levels), len(self.known_)), dtype=np.float32)
        self.target_quantiles_ = np.empty_like(self.source_quantiles_)
        for k, gene in enumerate(self.known_):
            quantiles = np.nanquantile(x[:, gene], levels).astype(np.float32)
            self.source_quantiles_[:, k] = quantiles
            self.target_quantiles_[:, k] = _average_ties(quantiles, np.nanquantile(y[:, gene], levels))
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        predicted = np.tile(self.mean_, (len(X), 1))
        x = average_probes(np.where(np.isfinite(X), X, self.center_), self.source_, self.target_)
        columns = np.unique(self.target_)
        for k, gene in enumerate(self.known_):
            predicted[:, columns[gene]] = np.interp(
                x[:, gene], self.source_quantiles_[:, k], self.target_quantiles_[:, k]
            )
        return predicted


def _average_ties(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``y`` averaged over the entries that share a value of ``x``."""
    _, tie, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.bincount(tie, weights=y) / count)[tie]
