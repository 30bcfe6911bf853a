from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if

from scgx.estimators._base import BaseTranslator


def _both_tell(self: ResidualOf) -> bool:
    return all(hasattr(member, "gene_importance") for member in (self.first, self.second))


class ResidualOf(BaseTranslator):
    """What ``first`` predicts plus what ``second`` predicts of its residual.

    With :class:`SameGene` first, panels that share genes keep the strong one-gene fit and the kernel adds what
    the other genes know; where panels share none, ``first`` is the mean and ``second`` does all.

    Parameters
    ----------
    first, second
        Translators, fitted in this order.
    """

    def __init__(self, first: BaseTranslator, second: BaseTranslator) -> None:
        self.first = first
        self.second = second

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Fit ``first`` on the targets, ``second`` on their residual. See :meth:`BaseTranslator.fit`."""
        self.first_ = clone(self.first).fit(X, Y, groups=groups, tissue=tissue)
        residual = Y - self.first_.predict(X, tissue=tissue)
        self.second_ = clone(self.second).fit(X, residual, groups=groups, tissue=tissue)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        return self.first_.predict(X, tissue=tissue) + self.second_.predict(X, tissue=tissue)

    @available_if(_both_tell)
    def gene_importance(self, X: np.ndarray) -> np.ndarray:
        """How far each source gene moves the predictions of these rows, p: the root of both members' squares."""
        return np.hypot(self.first_.gene_importance(X), self.second_.gene_importance(X))
