from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if

from scgx.estimators._base import BaseTranslator


def _tells(self: BalancedTissue) -> bool:
    return hasattr(self.translator, "gene_importance")


class BalancedTissue(BaseTranslator):
    """A model whose training rows of one tissue are replicated until they are as many as those of all others.

    The cross-tissue* mode of Cong et al. (BMC Bioinformatics 2026). Replication happens within ``fit``, so that
    cross-validation around it sees each row once. Copies of a row are of one group.

    Parameters
    ----------
    translator
        Unfitted.
    target_tissue
        The tissue to replicate; without a row of it in training, ``translator`` is fitted on the rows as they are.
    """

    def __init__(self, translator: BaseTranslator, target_tissue: str) -> None:
        self.translator = translator
        self.target_tissue = target_tissue

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Fit on the balanced rows. See :meth:`BaseTranslator.fit`.

        Raises
        ------
        ValueError
            If ``tissue`` is not given.
        """
        if tissue is None:
            raise ValueError("`BalancedTissue` needs `tissue`, one label a row; found None.")
        labels = np.asarray(tissue, dtype=str)
        groups = np.arange(len(X)) if groups is None else np.asarray(groups)
        rows = balanced_rows(labels == self.target_tissue)
        self.translator_ = clone(self.translator).fit(X[rows], Y[rows], groups=groups[rows], tissue=labels[rows])
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        return self.translator_.predict(X, tissue=tissue)

    @available_if(_tells)
    def gene_importance(self, X: np.ndarray) -> np.ndarray:
        """How far each source gene moves the predictions of these rows, p; see that of ``translator``."""
        return self.translator_.gene_importance(X)


def balanced_rows(target: np.ndarray) -> np.ndarray:
    """Positions of all rows, those of the target tissue repeated until they are as many as all others.

    Parameters
    ----------
    target
        Which rows are of the target tissue, n, bool.

    Returns
    -------
    Positions. All rows once where the target tissue has none, or already half of them.
    """
    rows, others = np.flatnonzero(target), np.flatnonzero(~target)
    return np.concatenate([others, np.resize(rows, max(len(rows), len(others)) if len(rows) else 0)])
