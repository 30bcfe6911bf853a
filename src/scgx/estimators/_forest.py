from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from scgx.estimators._base import BaseTranslator, column_mean
from scgx.estimators._scaler import GeneScaler

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

_TREES_TO_CHOOSE = 50


class TargetForest(BaseTranslator):
    """Random forest on principal components of the target panel.

    A leaf of a plain forest holds a value for each of m genes (465 MB a tree at m = 22,794); here it holds a few
    component scores, and their prediction is mapped back to genes. Splits weigh a component by its variance.

    Parameters
    ----------
    n_components
        Principal components of the target (at most rows − 1).
    n_trees
        Trees.
    max_features
        Numbers of source genes tried at a split to choose from (at most p), by out-of-bag error. Groups play no
        part in this choice.
    min_samples_leaf
        Rows a leaf holds at least.
    seed
        Seed of components and trees.

    Notes
    -----
    A missing target value counts as the gene's mean.

    References
    ----------
    Breiman (2001), Random forests, Machine Learning 45:5.
    """

    savable: ClassVar[bool] = False

    def __init__(
        self,
        *,
        n_components: int = 30,
        n_trees: int = 200,
        max_features: tuple[int, ...] = (30, 100),
        min_samples_leaf: int = 1,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_trees = n_trees
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.seed = seed

    def fit(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> Self:
        """Reduce the target, choose ``max_features``, grow the forest. See :meth:`BaseTranslator.fit`."""
        from sklearn.decomposition import PCA

        self.scaler_ = GeneScaler("none").fit(X)
        scaled = self.scaler_.transform(X)
        filled = np.where(np.isfinite(Y), Y, column_mean(Y))
        self.pca_ = PCA(min(self.n_components, len(Y) - 1, Y.shape[1]), random_state=self.seed)
        scores = self.pca_.fit_transform(filled)
        if scores.shape[1] == 1:
            scores = scores.ravel()
        candidates = sorted({min(k, X.shape[1]) for k in self.max_features})
        errors = [self._out_of_bag_error(scaled, scores, k) for k in candidates] if len(candidates) > 1 else [0.0]
        self.max_features_ = candidates[int(np.argmin(errors))]
        self.forest_ = self._forest(self.n_trees, self.max_features_).fit(scaled, scores)
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        """Target values, rows of ``X`` × m, float32."""
        scores = self.forest_.predict(self.scaler_.transform(X)).reshape(len(X), -1)
        return self.pca_.inverse_transform(scores).astype(np.float32)

    def _forest(self, n_trees: int, max_features: int, *, oob_score: bool = False) -> RandomForestRegressor:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(
            n_trees,
            max_features=max_features,
            min_samples_leaf=self.min_samples_leaf,
            oob_score=oob_score,
            random_state=self.seed,
        )

    def _out_of_bag_error(self, scaled: np.ndarray, scores: np.ndarray, max_features: int) -> float:
        forest = self._forest(_TREES_TO_CHOOSE, max_features, oob_score=True).fit(scaled, scores)
        return float(np.square(forest.oob_prediction_.reshape(scores.shape) - scores).sum())
