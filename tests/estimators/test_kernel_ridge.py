from __future__ import annotations

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import KernelCenterer

from scgx.estimators import GeneScaler, KernelRidge
from scgx.estimators import _ridge_solver as dual
from scgx.estimators._base import group_folds
from scgx.estimators._primal_solver import feature_coefficients, feature_errors

PENALTIES = np.array([0.1, 3.0, 100.0])


@pytest.fixture
def folds(linear) -> dual.Folds:
    return group_folds(len(linear.X), linear.groups, n_folds=5, seed=0)


def _ridge_errors(X: np.ndarray, Y: np.ndarray, folds: dual.Folds) -> np.ndarray:
    """Held-out squared errors by refitting scikit-learn's ridge in float64: folds × penalties × targets."""
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    return np.array(
        [
            [np.square(Ridge(a).fit(X[train], Y[train]).predict(X[test]) - Y[test]).sum(axis=0) for a in PENALTIES]
            for train, test in folds
        ]
    )


def test_dual_errors_are_those_of_refitting_with_an_intercept(linear, folds: dual.Folds) -> None:
    X = linear.X.astype(np.float64)
    errors = dual.target_errors(X @ X.T, linear.Y, folds, PENALTIES)
    np.testing.assert_allclose(errors, _ridge_errors(linear.X, linear.Y, folds), rtol=1e-3)


def test_primal_errors_are_those_of_refitting_with_an_intercept(linear, folds: dual.Folds) -> None:
    errors = feature_errors(linear.X, linear.Y, folds, PENALTIES)
    np.testing.assert_allclose(errors, _ridge_errors(linear.X, linear.Y, folds), rtol=1e-3)


def test_kernel_errors_are_target_errors_summed(linear, folds: dual.Folds) -> None:
    K, Y = rbf_kernel(linear.X.astype(np.float64), gamma=0.02), linear.Y.astype(np.float64)
    summed = dual.kernel_errors(K, Y @ Y.T, folds, PENALTIES)
    np.testing.assert_allclose(summed, dual.target_errors(K, Y, folds, PENALTIES).sum(axis=(0, 2)), rtol=1e-5)


def test_primal_coefficients_with_a_penalty_a_target_are_scikit_learns(linear) -> None:
    penalties = np.resize(PENALTIES, linear.Y.shape[1])
    ours = feature_coefficients(linear.X, linear.Y, penalties)
    reference = Ridge(penalties).fit(linear.X.astype(np.float64), linear.Y.astype(np.float64)).coef_.T
    np.testing.assert_allclose(ours, reference, rtol=1e-3, atol=1e-5)


def test_linear_fit_is_scikit_learns_ridge_of_scaled_genes(linear) -> None:
    ours = KernelRidge(kernel="linear", scalings=("pareto",)).fit(linear.X[:50], linear.Y[:50])
    scaler = GeneScaler("pareto").fit(linear.X[:50])
    train, query = (scaler.transform(rows).astype(np.float64) for rows in (linear.X[:50], linear.X[50:]))
    reference = Ridge(ours.penalties_).fit(train, linear.Y[:50].astype(np.float64)).predict(query)
    np.testing.assert_allclose(ours.predict(linear.X[50:]), reference, rtol=1e-3, atol=1e-4)


def test_rbf_fit_is_scikit_learns_kernel_ridge_on_a_centred_kernel(linear) -> None:
    ours = KernelRidge(scalings=("standard",), bandwidths=(0.3,)).fit(linear.X[:50], linear.Y[:50])
    scaler = GeneScaler("standard").fit(linear.X[:50])
    train, query = (scaler.transform(rows).astype(np.float64) for rows in (linear.X[:50], linear.X[50:]))
    K, K_query = rbf_kernel(train, gamma=ours.gamma_), rbf_kernel(query, train, gamma=ours.gamma_)
    centerer, mean = KernelCenterer().fit(K), linear.Y[:50].mean(axis=0)
    reference = SklearnKernelRidge(alpha=ours.penalties_, kernel="precomputed")
    reference.fit(centerer.transform(K), linear.Y[:50] - mean)
    expected = reference.predict(centerer.transform(K_query)) + mean
    np.testing.assert_allclose(ours.predict(linear.X[50:]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Solving .* SVD:UserWarning")
@pytest.mark.parametrize("local_alpha", [True, False])
def test_chosen_penalties_are_himalayas(linear, folds: dual.Folds, local_alpha: bool) -> None:
    from himalaya.ridge import RidgeCV
    from himalaya.scoring import l2_neg_loss

    X, alphas = linear.X.astype(np.float64), np.logspace(-2, 3, 11)
    fold = np.empty(len(X), dtype=int)
    for k, (_, test) in enumerate(folds):
        fold[test] = k
    options = {"score_func": l2_neg_loss, "local_alpha": local_alpha}
    reference = RidgeCV(alphas, fit_intercept=True, solver_params=options, cv=PredefinedSplit(fold))
    reference.fit(X, linear.Y.astype(np.float64))
    errors = dual.target_errors(X @ X.T, linear.Y, folds, alphas).sum(axis=0)
    chosen = errors.argmin(axis=0) if local_alpha else np.full(linear.Y.shape[1], errors.sum(axis=1).argmin())
    np.testing.assert_allclose(alphas[chosen], reference.best_alphas_)


def test_targets_with_gaps_are_fitted_on_their_measured_rows(linear, with_gaps) -> None:
    X, Y = linear.X.astype(np.float64), with_gaps(linear.Y, 0.3)
    center = X.mean(axis=0)
    K, penalties = dual.center_kernel(X @ X.T), np.resize(PENALTIES, Y.shape[1])
    W, intercept = dual.masked_dual_coefficients(K, Y, penalties)
    predicted = (X - center) @ (X - center).T @ W + intercept
    for j, penalty in enumerate(penalties):
        rows = np.isfinite(Y[:, j])
        reference = Ridge(penalty).fit(X[rows], Y[rows, j].astype(np.float64)).predict(X)
        np.testing.assert_allclose(predicted[:, j], reference, rtol=1e-2, atol=2e-3)


def test_a_gap_in_one_target_leaves_the_others_as_they_are(linear) -> None:
    Y = linear.Y.copy()
    Y[3, 0] = np.nan
    model = KernelRidge(kernel="linear", scalings=("pareto",), penalties=np.array([0.1]))
    complete = model.fit(linear.X, linear.Y).predict(linear.X)
    np.testing.assert_allclose(model.fit(linear.X, Y).predict(linear.X)[:, 1:], complete[:, 1:], rtol=1e-5)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_inducing_all_rows_is_the_exact_fit(make_linear, kernel: str) -> None:
    data = make_linear(80, 12)
    options = {"kernel": kernel, "scalings": ("standard",), "bandwidths": (0.3,), "penalties": np.array([0.1])}
    exact = KernelRidge(**options).fit(data.X[:60], data.Y[:60])
    inducing = KernelRidge(**options, max_rows=59, n_inducing=60).fit(data.X[:60], data.Y[:60])
    np.testing.assert_allclose(inducing.predict(data.X[60:]), exact.predict(data.X[60:]), rtol=1e-2, atol=1e-2)


def test_fewer_inducing_rows_keep_most_of_the_skill(make_linear) -> None:
    data = make_linear(400, 12)
    exact = KernelRidge(kernel="linear").fit(data.X[:300], data.Y[:300]).predict(data.X[300:])
    model = KernelRidge(kernel="linear", max_rows=200, n_inducing=30).fit(data.X[:300], data.Y[:300])
    errors = [np.square(data.Y[300:] - predicted).mean() for predicted in (exact, model.predict(data.X[300:]))]
    assert errors[1] < 1.1 * errors[0]


def test_one_penalty_is_kept_where_the_choice_a_target_is_noise() -> None:
    rng = np.random.default_rng(0)
    errors = 10 + rng.normal(size=(5, 4, 50)) + np.array([1, 0, 1, 2])[:, None]
    assert (dual.choose_penalties(errors) == 1).all()


def test_a_penalty_a_target_is_kept_where_targets_differ() -> None:
    best = np.resize([0, 3], 50)
    errors = np.abs(np.arange(4)[:, None] - best) + np.random.default_rng(0).random((5, 4, 50)) / 10
    np.testing.assert_array_equal(dual.choose_penalties(errors), best)


def test_noise_is_penalised_more_than_signal() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 10)).astype(np.float32)
    Y = np.hstack([X @ rng.normal(size=(10, 20)), rng.normal(size=(150, 20))]).astype(np.float32)
    penalties = KernelRidge(kernel="linear", scalings=("none",)).fit(X, Y).penalties_
    assert penalties[:20].max() < penalties[20:].min()


def test_width_and_scaling_are_chosen_for_what_is_there() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).astype(np.float32) * [1, 1, 100]
    Y = np.sin(2 * X[:, :2]).astype(np.float32)
    model = KernelRidge(scalings=("none", "standard"), bandwidths=(0.01, 2.0)).fit(X, Y)
    assert model.scaler_.scaling == "standard"
    distances = np.square(model.basis_[:, None] - model.basis_[None]).sum(axis=-1)
    assert model.gamma_ == pytest.approx(2 / np.median(distances[np.triu_indices(200, 1)]), rel=1e-3)


def test_a_users_joblib_settings_do_not_matter(linear) -> None:
    """Under a process backend, results written by other processes would be lost."""
    alone = KernelRidge().fit(linear.X, linear.Y).predict(linear.X)
    with parallel_config("loky", n_jobs=1):
        within = KernelRidge().fit(linear.X, linear.Y).predict(linear.X)
    np.testing.assert_array_equal(within, alone)
