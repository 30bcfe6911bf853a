from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin


class BaseTranslator(MultiOutputMixin, RegressorMixin, BaseEstimator, ABC):
    """A regressor from a source panel to a target panel.

    A scikit-learn regressor whose ``fit`` also takes what an expression study knows of its rows: the group
    that must not be split (compound, donor) and the tissue. Estimators ignore what they have no use for.
    NaN is allowed in the source (it counts as the gene's training mean) and, unless ``fit`` says otherwise, in
    the target (that entry is left out of the fit).
    """

    #: whether the fitted object can be written as arrays and plain values
    savable: ClassVar[bool] = True

    @abstractmethod
    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Fit on paired rows.

        Parameters
        ----------
        X
            Source values, n × p, float32, NaN where not measured.
        Y
            Target values, n × m, float32, NaN where not measured.
        groups
            Group of each row (n); inner validation never splits a group. ``None``: each row is its own group.
        tissue
            Tissue of each row (n).
        """

    @abstractmethod
    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""


def group_folds(
    n_rows: int, groups: np.ndarray | None, *, n_folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row indices of ``n_folds`` shuffled folds that keep groups whole (fewer folds where groups are fewer).

    Raises
    ------
    ValueError
        If there are fewer than two groups.
    """
    from sklearn.model_selection import GroupKFold

    groups = np.arange(n_rows) if groups is None else np.asarray(groups)
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(
            f"`groups` holds {n_groups} group over {n_rows} rows; validation needs at least 2 groups. "
            "Measure more groups, or name a finer group."
        )
    splitter = GroupKFold(min(n_folds, n_groups), shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((n_rows, 1)), groups=groups))


def column_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the measured values of each column, float32; 0 where a column has none."""
    measured = np.isfinite(values)
    if measured.all():
        return values.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = np.where(measured, values, 0).sum(axis=0, dtype=np.float64)
    return (total / np.maximum(measured.sum(axis=0), 1)).astype(np.float32)
