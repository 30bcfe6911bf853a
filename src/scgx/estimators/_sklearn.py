from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.utils import get_tags

from scgx.estimators._base import BaseTranslator
from scgx.estimators._scaler import GeneScaler


class SklearnTranslator(BaseTranslator):
    """Any scikit-learn regressor as a translator.

    A missing source value counts as the gene's training mean. A regressor of one output is fitted once a target
    gene. Groups are not handed on: a regressor that tunes itself by cross-validation does so over single rows.

    Parameters
    ----------
    estimator
        A regressor, or a pipeline that ends in one; it is cloned, not changed.
    """

    savable: ClassVar[bool] = False

    def __init__(self, estimator: BaseEstimator) -> None:
        self.estimator = estimator

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Fit a clone on complete targets. See :meth:`BaseTranslator.fit`.

        Raises
        ------
        TypeError
            If ``estimator`` is not a regressor.
        ValueError
            If ``Y`` has missing values.
        """
        if isinstance(self.estimator, type) or not hasattr(self.estimator, "fit") or not is_regressor(self.estimator):
            raise TypeError(
                f"`estimator` must be a scikit-learn regressor object; found {self.estimator!r}. "
                "Give for instance `sklearn.linear_model.Ridge()`."
            )
        gaps = int(np.isnan(Y).any(axis=0).sum())
        if gaps:
            raise ValueError(
                f"`Y` must be complete for a scikit-learn regressor; {gaps} of {Y.shape[1]} target genes have "
                "missing values. Drop or impute these genes, or use a method that takes gaps, such as 'ridge'."
            )
        self.scaler_ = GeneScaler("none").fit(X)
        self.estimator_ = self._multi_output().fit(self.scaler_.transform(X), Y)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        predicted = self.estimator_.predict(self.scaler_.transform(X))
        return np.asarray(predicted, dtype=np.float32).reshape(len(X), -1)

    def _multi_output(self) -> BaseEstimator:
        from sklearn.multioutput import MultiOutputRegressor

        estimator = clone(self.estimator)
        return estimator if get_tags(estimator).target_tags.multi_output else MultiOutputRegressor(estimator)
