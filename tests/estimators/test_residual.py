from __future__ import annotations

import numpy as np

from scgx.estimators import KernelRidge, ResidualOf, SameGene, TrainingAverage


def test_the_second_is_fitted_on_what_the_first_leaves(linear) -> None:
    first, second = SameGene(np.array([[0, 0], [1, 1]])), KernelRidge(kernel="linear")
    both = ResidualOf(first, second).fit(linear.X, linear.Y, groups=linear.groups)
    residual = linear.Y - first.fit(linear.X, linear.Y).predict(linear.X)
    second.fit(linear.X, residual, groups=linear.groups)
    np.testing.assert_allclose(both.predict(linear.X), first.predict(linear.X) + second.predict(linear.X), rtol=1e-5)


def test_after_the_mean_it_is_the_second_alone(linear) -> None:
    alone = KernelRidge(kernel="linear").fit(linear.X, linear.Y, groups=linear.groups)
    after = ResidualOf(TrainingAverage(), KernelRidge(kernel="linear")).fit(linear.X, linear.Y, groups=linear.groups)
    np.testing.assert_allclose(after.predict(linear.X), alone.predict(linear.X), rtol=1e-3, atol=1e-4)


def test_it_serves_panels_whose_genes_are_shared_and_depend_on_others() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 60))
    Y = 2 * X[:, :10] + X @ rng.normal(size=(60, 10)) / 8 + 0.3 * rng.normal(size=(120, 10))
    X, Y = X.astype(np.float32), Y.astype(np.float32)
    same, ridge = SameGene(np.tile(np.arange(10)[:, None], 2)), KernelRidge(kernel="linear")
    errors = [
        np.square(Y[60:] - model.fit(X[:60], Y[:60]).predict(X[60:])).mean()
        for model in (ResidualOf(same, ridge), same, ridge)
    ]
    assert errors[0] < min(errors[1:])


def test_the_given_translators_stay_unfitted(linear) -> None:
    model = ResidualOf(SameGene(), KernelRidge())
    model.fit(linear.X, linear.Y)
    assert not any(name.endswith("_") for part in (model.first, model.second) for name in vars(part))
