from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import clone

from scgx.estimators._base import BaseTranslator

#: what a tissue needs for a model of its own; methods that validate within a validation leave two groups out
FEWEST_ROWS, FEWEST_GROUPS = 10, 4


class PerTissue(BaseTranslator):
    """One model a tissue, and one of all rows for tissues that have too few rows or were never seen.

    The single-tissue mode of Cong et al. (BMC Bioinformatics 2026): no signal of other tissues confounds a model, but
    each has fewer rows to learn from.

    Parameters
    ----------
    translator
        Unfitted; cloned for each tissue with at least 10 rows of at least 4 groups, and for all rows together.
    """

    def __init__(self, translator: BaseTranslator) -> None:
        self.translator = translator

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Fit the model of all rows and those of the tissues. See :meth:`BaseTranslator.fit`.

        Raises
        ------
        ValueError
            If ``tissue`` is not given.
        """
        if tissue is None:
            raise ValueError("`PerTissue` needs `tissue`, one label a row; found None.")
        labels = np.asarray(tissue, dtype=str)
        groups = np.arange(len(X)) if groups is None else np.asarray(groups)
        self.overall_ = clone(self.translator).fit(X, Y, groups=groups, tissue=labels)
        self.models_: dict[str, BaseTranslator] = {}
        self.measured_: dict[str, np.ndarray] = {}
        for name in np.unique(labels).tolist():
            rows = labels == name
            if rows.sum() < FEWEST_ROWS or len(np.unique(groups[rows])) < FEWEST_GROUPS:
                continue
            # a gene that this tissue never measured has nothing to learn from here
            self.measured_[name] = np.isfinite(Y[rows]).any(axis=0)
            self.models_[name] = clone(self.translator).fit(X[rows], Y[rows], groups=groups[rows], tissue=labels[rows])
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32, by the model of each row's tissue where there is one."""
        predicted = self.overall_.predict(X, tissue=tissue)
        if tissue is None:
            return predicted
        labels = np.asarray(tissue, dtype=str)
        for name, model in self.models_.items():
            rows = np.flatnonzero(labels == name)
            if len(rows):
                own = model.predict(X[rows], tissue=labels[rows])
                predicted[rows] = np.where(self.measured_[name], own, predicted[rows])
        return predicted
