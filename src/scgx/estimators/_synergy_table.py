from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from typing import Any, ClassVar, Self

import numpy as np

from scgx._core.drug_pairs import DrugPairs
from scgx.estimators._synergy import BaseSynergy, is_binary
from scgx.estimators._synergy_features import PairFeatures

_N_TREES = 100


class SynergyTable(BaseSynergy):
    """A scikit-learn learner on features of pairs; subclasses say which.

    Parameters
    ----------
    features
        :class:`Identity`, :class:`Chemistry` or :class:`RandomVectors`.
    seed
        Seed of the learner.
    """

    #: a fitted scikit-learn learner could be written as a pickle only
    savable: ClassVar[bool] = False

    def __init__(self, features: PairFeatures, seed: int = 0) -> None:
        self.features = features
        self.seed = seed

    @abstractmethod
    def _learner(self, *, binary: bool) -> Any:
        """A classifier with ``predict_proba``, or a regressor."""

    def fit(self, pairs: DrugPairs, y: np.ndarray) -> Self:
        """See :meth:`BaseSynergy.fit`."""
        used = pairs.take(np.arange(len(pairs)))
        self.features_ = deepcopy(self.features).fit(used)
        self.binary_ = is_binary(y)
        X = self.features_.transform(used)
        self.learner_ = self._learner(binary=self.binary_).fit(X, y.astype(int) if self.binary_ else y)
        return self

    def predict(self, pairs: DrugPairs) -> np.ndarray:
        """See :meth:`BaseSynergy.predict`."""
        X = self.features_.transform(pairs)
        return self.learner_.predict_proba(X)[:, 1] if self.binary_ else self.learner_.predict(X)


class SynergyLinear(SynergyTable):
    """Logistic regression of labels, ridge regression of scores, with penalty 1 on features as they are."""

    def _learner(self, *, binary: bool) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        return LogisticRegression(max_iter=500) if binary else Ridge()


class SynergyBoosting(SynergyTable):
    """Histogram gradient boosting, else with the settings of scikit-learn.

    Parameters
    ----------
    features, seed
        See :class:`SynergyTable`.
    n_trees
        Trees. Interactions of identities, one column a drug, want many.
    """

    def __init__(self, features: PairFeatures, seed: int = 0, *, n_trees: int = 200) -> None:
        super().__init__(features, seed)
        self.n_trees = n_trees

    def _learner(self, *, binary: bool) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        # early stopping would hold out random rows, with their drugs known
        kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
        return kind(max_iter=self.n_trees, early_stopping=False, random_state=self.seed)


class SynergyForest(SynergyTable):
    """Random forest of 100 trees with leaves of at least two rows."""

    def _learner(self, *, binary: bool) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kind = RandomForestClassifier if binary else RandomForestRegressor
        return kind(_N_TREES, min_samples_leaf=2, max_features="sqrt", random_state=self.seed)
