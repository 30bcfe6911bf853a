"""Responses of one species by regression on those of others and on features of genes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scgx.estimators._response_transfer import FEWEST_GENES, SpeciesResponses, mean_over

#: further conditions are summarised by this many principal components
_N_COMPONENTS = 20
#: with more measured conditions, one model is fitted over all of them
_MOST_MODELS = 20
#: cells of a fit over all conditions
_MOST_CELLS = 20_000


def ridge_transfer(responses: SpeciesResponses, conditions: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Ridge regression on all species' responses and on features, penalty by generalised cross-validation.

    Missing predictors take their mean over genes and a column that says so. See :func:`boosting_transfer` for what is predicted
    from what.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def make() -> Any:
        imputer = SimpleImputer(add_indicator=True, keep_empty_features=True)
        return make_pipeline(imputer, StandardScaler(), RidgeCV(np.logspace(-1, 5, 13)))

    return _regression(responses, conditions, make, seed)


def boosting_transfer(responses: SpeciesResponses, conditions: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Gradient-boosted trees on all species' responses and on features.

    A condition of which the query measured some genes has a model of its own: a gene's response in each species, its
    responses in the other conditions (20 principal components where there are more columns), among them the query's for
    genes that it measured there, and the features. One model over all measured conditions (at most 20,000 cells)
    predicts a condition that the query did not measure, and all of them where it measured more than 20: responses in
    each species, their mean, by how much the query departed from it in other conditions, and the features.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    def make() -> Any:
        return HistGradientBoostingRegressor(
            learning_rate=0.06,
            max_iter=150,
            max_leaf_nodes=8,
            min_samples_leaf=30,
            l2_regularization=10.0,
            max_features=0.5,
            early_stopping=False,
            random_state=seed,
        )

    return _regression(responses, conditions, make, seed)


def _regression(responses: SpeciesResponses, conditions: np.ndarray, make: Callable[[], Any], seed: int) -> np.ndarray:
    """Fit and predict the genes of each condition that the query has not measured."""
    many = sum(responses.enough(k) for k in range(len(responses.query))) > _MOST_MODELS
    pooled = [k for k in conditions if many or not responses.enough(k)]
    predicted = np.full(responses.query.shape, np.nan)
    wanted = np.isnan(responses.query) & np.isfinite(mean_over(responses.reference))
    if wanted[pooled].any():
        X, y = _pooled_training(responses, seed)
        known = np.isfinite(X).any(axis=0)
        model = make().fit(X[:, known], y)
        for k in np.asarray(pooled)[wanted[pooled].any(axis=1)]:
            predicted[k, wanted[k]] = model.predict(_pooled_predictors(responses, k)[wanted[k]][:, known])
    for k in np.setdiff1d(conditions, pooled):
        predicted[k] = _own_regression(responses, k, wanted[k], make)
    return predicted[conditions]


def _own_regression(
    responses: SpeciesResponses, condition: int, wanted: np.ndarray, make: Callable[[], Any]
) -> np.ndarray:
    """Fit one condition on the genes measured in it."""
    truth = responses.query[condition]
    predicted = np.full(len(truth), np.nan)
    measured = np.isfinite(truth)
    elsewhere = np.isfinite(np.delete(responses.query, condition, axis=0)).any(axis=0)
    if (measured & elsewhere).sum() < FEWEST_GENES:
        elsewhere = np.zeros_like(elsewhere)
    # a gene that the query never measured must not be predicted from columns it does not have
    for genes, known in ((elsewhere, True), (~elsewhere, False)):
        if (wanted & genes).any():
            X = _predictors(responses, condition, known=known)
            train = measured & elsewhere if known else measured
            X = X[:, np.isfinite(X[train]).any(axis=0)]
            predicted[wanted & genes] = make().fit(X[train], truth[train]).predict(X[wanted & genes])
    return predicted


def _predictors(responses: SpeciesResponses, condition: int, *, known: bool) -> np.ndarray:
    """Genes × predictors of one condition; ``known``: with the query's other conditions."""
    own = responses.reference[:, condition]
    others = np.delete(responses.reference, condition, axis=1).reshape(-1, own.shape[1])
    if known:
        others = np.vstack([others, np.delete(responses.query, condition, axis=0)])
    return np.hstack([_measured_rows(own).T, _compressed(_measured_rows(others)), responses.features])


def _measured_rows(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values).any(axis=1)]


def _compressed(profiles: np.ndarray) -> np.ndarray:
    """Genes × profiles, or their principal components where there are many (not measured taken as no change)."""
    if len(profiles) <= _N_COMPONENTS:
        return profiles.T
    left, size, _ = np.linalg.svd(np.nan_to_num(profiles).T, full_matrices=False)
    return left[:, :_N_COMPONENTS] * size[:_N_COMPONENTS]


def _pooled_predictors(responses: SpeciesResponses, condition: int) -> np.ndarray:
    """Genes × predictors that mean the same in every condition."""
    own = responses.reference[:, condition]
    others = np.arange(len(responses.query)) != condition
    departure = mean_over((responses.query - mean_over(responses.reference))[others])
    mean = mean_over(own)
    filled = np.where(np.isfinite(own), own, mean)  # another condition may lack another species
    return np.column_stack([filled.T, mean, np.nan_to_num(departure), responses.features])


def _pooled_training(responses: SpeciesResponses, seed: int) -> tuple[np.ndarray, np.ndarray]:
    X, y = [], []
    for k, truth in enumerate(responses.query):
        used = np.isfinite(truth) & np.isfinite(mean_over(responses.reference[:, k]))
        if used.any():
            X.append(_pooled_predictors(responses, k)[used])
            y.append(truth[used])
    rows, values = np.vstack(X), np.concatenate(y)
    if len(values) > _MOST_CELLS:
        drawn = np.random.default_rng(seed).choice(len(values), _MOST_CELLS, replace=False)
        rows, values = rows[drawn], values[drawn]
    return rows, values
