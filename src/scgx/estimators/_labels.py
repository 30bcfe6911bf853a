from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone

Matrix: TypeAlias = Any
"""ndarray or CSR, rows × genes."""


class BaseLabelClassifier(ClassifierMixin, BaseEstimator, ABC):
    """A classifier of expression profiles that may know the study (batch, donor) of each row.

    Attributes
    ----------
    classes_
        Sorted labels, the columns of :meth:`predict_proba`.
    """

    classes_: np.ndarray

    @abstractmethod
    def fit(self, X: Matrix, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Fit on labelled rows.

        Parameters
        ----------
        X
            Expression, n × genes, dense or CSR; finite.
        y
            Labels, n.
        batch
            Study of each row, n.
        """

    @abstractmethod
    def predict_proba(self, X: Matrix, *, batch: np.ndarray | None = None) -> np.ndarray:
        """Probability of each of ``classes_``, rows of ``X`` × k."""

    def predict(self, X: Matrix, *, batch: np.ndarray | None = None) -> np.ndarray:
        """Most probable label of each row of ``X``."""
        return self.classes_[self.predict_proba(X, batch=batch).argmax(axis=1)]


class SklearnLabels(BaseLabelClassifier):
    """Any scikit-learn classifier with ``predict_proba``; the study of a row is not handed on.

    Parameters
    ----------
    estimator
        A classifier, or a pipeline that ends in one; it is cloned, not changed.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Matrix, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Fit a clone. See :meth:`BaseLabelClassifier.fit`."""
        return self._fit(clone(self.estimator), X, y)

    def predict_proba(self, X: Matrix, *, batch: np.ndarray | None = None) -> np.ndarray:
        """See :meth:`BaseLabelClassifier.predict_proba`."""
        return np.asarray(self.estimator_.predict_proba(X))

    def _fit(self, estimator: Any, X: Matrix, y: np.ndarray) -> Self:
        self.estimator_ = estimator.fit(X, y)
        self.classes_ = np.asarray(self.estimator_.classes_)
        return self
