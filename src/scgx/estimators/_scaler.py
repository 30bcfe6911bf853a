from __future__ import annotations

from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from scgx.estimators._base import column_mean

Scaling = Literal["pareto", "standard", "none"]


class GeneScaler(TransformerMixin, BaseEstimator):
    """Centre each gene and divide it by a power of its standard deviation.

    Parameters
    ----------
    scaling
        ``"standard"`` divides by the standard deviation s, so that each gene weighs the same; ``"pareto"`` by
        √s, so that genes which vary much still weigh more [vandenBerg06]_; ``"none"`` only centres.

    Notes
    -----
    Missing values become 0, the gene's training mean. A gene without variance becomes 0.

    References
    ----------
    .. [vandenBerg06] van den Berg et al. (2006), Centering, scaling, and transformations, BMC Genomics 7:142.
    """

    def __init__(self, scaling: Scaling = "pareto") -> None:
        self.scaling = scaling

    def fit(self, X: np.ndarray, y: None = None) -> Self:
        """Learn centre and scale of each column of ``X`` (n × p, NaN allowed)."""
        self.center_ = column_mean(X)
        deviation = np.sqrt(column_mean(np.square(X - self.center_)))
        # float32 rounding leaves a constant gene with a tiny deviation; it must not be blown up to noise
        self.constant_ = deviation <= 1e-5 * np.maximum(np.abs(self.center_), 1e-6)
        power = {"standard": 1.0, "pareto": 0.5, "none": 0.0}[self.scaling]
        self.scale_ = np.where(self.constant_, 1, deviation).astype(np.float32) ** np.float32(power)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Scaled values, shape of ``X``, float32, without NaN."""
        scaled = (np.asarray(X, dtype=np.float32) - self.center_) / self.scale_
        scaled[:, self.constant_] = 0
        return np.nan_to_num(scaled, copy=False, nan=0.0)
