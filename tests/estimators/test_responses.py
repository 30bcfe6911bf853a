from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial.distance import jaccard
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

from scgx.estimators import (
    Additive,
    BaseResponse,
    ConditionKernelRidge,
    Conditions,
    ContextMean,
    DoseInterpolation,
    FeatureRegression,
    KernelRidge,
    LinearCombination,
    MeanDelta,
    NoChange,
    SimilarityWeighted,
    TanimotoNeighbors,
)
from scgx.estimators._response_features import tanimoto

GENES = 7


def make(
    names: Sequence[str], context: Sequence[str] | str = "a", control: np.ndarray | None = None, **arrays: np.ndarray
) -> Conditions:
    contexts = np.array([context] * len(names) if isinstance(context, str) else context)
    return Conditions(
        tuple(tuple(name.split("+")) for name in names),
        contexts,
        np.zeros((len(names), GENES)) if control is None else control,
        **arrays,
    )


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, GENES))


def test_rows_are_taken_together_and_optional_arrays_stay_absent() -> None:
    conditions = make(["x", "y", "x+y"], ["a", "b", "c"], noise(3), log_dose=np.array([0.0, 1, 2]))
    taken = conditions.take(np.array([2, 0]))
    assert taken.perturbations == (("x", "y"), ("x",))
    assert taken.context.tolist() == ["c", "a"]
    np.testing.assert_array_equal(taken.control, conditions.control[[2, 0]])
    assert taken.log_dose is not None and taken.log_dose.tolist() == [2, 0]
    assert taken.features is None


def test_conditions_of_unequal_lengths_or_without_names_are_refused() -> None:
    with pytest.raises(ValueError, match="`log_dose` has 2 rows for 3 conditions"):
        make(["x", "y", "z"], log_dose=np.zeros(2))
    with pytest.raises(ValueError, match="`perturbations` is empty in row 1; controls are no condition"):
        Conditions((("x",), ()), np.array(["a", "a"]), np.zeros((2, GENES)))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param(NoChange(), [[], [], []], id="no-change"),
        pytest.param(MeanDelta(), [[0, 1, 2], [3], [0, 1, 2, 3]], id="context"),
        pytest.param(MeanDelta("design"), [[0, 1], [3], [0, 1, 2, 3]], id="design"),
    ],
)
def test_means_are_those_of_the_finest_level_that_was_seen(response: BaseResponse, expected: list[list[int]]) -> None:
    training = make(["w", "x", "y", "z"], ["a", "a", "a", "b"], design=np.array(["1", "1", "2", "1"]))
    delta = noise(4)
    asked = make(["new"] * 3, ["a", "b", "c"], design=np.array(["1", "2", "1"]))
    predicted = response.fit(training, delta).predict(asked)
    for row, members in zip(predicted, expected, strict=True):
        np.testing.assert_allclose(row, delta[members].mean(axis=0) if members else 0)


def test_a_mean_of_the_design_needs_one() -> None:
    with pytest.raises(ValueError, match="needs `conditions.design`; found None"):
        MeanDelta("design").fit(make(["x"]), noise(1))


def test_other_contexts_speak_for_the_same_perturbation_at_the_nearest_dose() -> None:
    training = make(["x", "x", "x", "y"], ["a", "b", "b", "b"], log_dose=np.array([0.0, 0, 2, 2]))
    delta = noise(4)
    asked = make(["x", "x", "new"], ["c", "a", "c"], log_dose=np.array([1.7, -1.0, 0]))
    predicted = ContextMean().fit(training, delta).predict(asked)
    np.testing.assert_allclose(predicted[0], (delta[0] + delta[2]) / 2)  # of b the dose nearer to 1.7
    np.testing.assert_allclose(predicted[1], delta[1])  # its own context does not count
    np.testing.assert_allclose(predicted[2], delta.mean(axis=0))


def test_weights_fall_with_the_fourth_power_of_the_distance() -> None:
    control = np.zeros((3, GENES))
    control[:, 0] = [1, 2, 4]
    delta = noise(3)
    model = SimilarityWeighted().fit(make(["x"] * 3, ["a", "b", "c"], control), delta)
    weights = np.array([1, 1 / 16, 1 / 256])
    predicted = model.predict(make(["x"], ["new"]))[0]
    np.testing.assert_allclose(predicted, weights @ delta / weights.sum())
    copy = model.predict(make(["x"], ["new"], control[1:2]))[0]
    np.testing.assert_allclose(copy, delta[1], atol=1e-6)  # an equal context is all that counts
    plain = SimilarityWeighted(0).fit(make(["x"] * 3, ["a", "b", "c"], control), delta)
    np.testing.assert_allclose(plain.predict(make(["x"], ["new"]))[0], delta.mean(axis=0))


def test_additive_sums_what_was_seen_alone_in_the_same_context_first() -> None:
    training = make(["x", "x", "y", "x+z"], ["a", "b", "b", "a"])
    delta = noise(4)
    model = Additive().fit(training, delta)
    predicted = model.predict(make(["x+y", "x+z", "v+z", "x+y"], ["a", "b", "b", "c"]))
    np.testing.assert_allclose(predicted[0], delta[0] + delta[2])
    np.testing.assert_allclose(predicted[1], delta[1])  # z was never alone
    np.testing.assert_allclose(predicted[2], delta[1:3].mean(axis=0))  # the mean change of context b
    np.testing.assert_allclose(predicted[3], delta[:2].mean(axis=0) + delta[2])


def test_linear_recovers_effects_that_were_never_measured_alone() -> None:
    effects = dict(zip("vwxyz", noise(5), strict=True))
    seen = ["v", "w+x", "x+y", "w+y", "y+z", "v+w+x"]
    training = make(seen)
    delta = np.stack([sum(effects[name] for name in row) for row in training.perturbations])
    predicted = LinearCombination().fit(training, delta).predict(make(["x+z", "w", "x+new", "new"]))
    expected = [effects["x"] + effects["z"], effects["w"], effects["x"], np.zeros(GENES)]
    np.testing.assert_allclose(predicted, expected, atol=0.1)
    codes = np.array([[name in row for name in "vwxyz"] for row in training.perturbations], dtype=float)
    exact = LinearRegression(fit_intercept=False).fit(codes, delta)
    np.testing.assert_allclose(predicted[1], exact.predict([[0, 1, 0, 0, 0]])[0], atol=0.1)


def test_tanimoto_agrees_with_scipy_on_bits_and_its_definition_on_counts() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (4, 30)), rng.integers(0, 2, (5, 30))
    expected = [[1 - jaccard(x, y) for y in b.astype(bool)] for x in a.astype(bool)]
    np.testing.assert_allclose(tanimoto(a.astype(float), b.astype(float)), expected)
    counts = rng.integers(0, 5, (3, 30)).astype(float)
    by_hand = [[np.minimum(x, y).sum() / np.maximum(x, y).sum() for y in counts] for x in counts]
    np.testing.assert_allclose(tanimoto(counts, counts), by_hand)
    assert tanimoto(np.zeros((1, 3)), np.zeros((1, 3))).tolist() == [[0]]
    with pytest.raises(ValueError, match="at least 0"):
        tanimoto(-counts, counts)


def test_neighbours_are_shrunk_to_the_mean_and_doses_count() -> None:
    bits = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], dtype=float)
    training = make(["x", "x", "y"], features=bits, log_dose=np.array([0.0, 2.0, 0.0]))
    delta = noise(3)
    asked = make(["x2", "new"], features=np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=float), log_dose=np.zeros(2))
    predicted = TanimotoNeighbors(n_neighbors=2, shrinkage=0.5).fit(training, delta).predict(asked)
    mean = delta.mean(axis=0)
    weights = np.array([1, 0.25])  # the same molecule, at two decades of distance
    np.testing.assert_allclose(predicted[0], mean + weights @ (delta[:2] - mean) / (0.5 + 1.25))
    np.testing.assert_allclose(predicted[1], mean)  # like nothing: as the others


def family(n: int, seed: int) -> tuple[Conditions, np.ndarray]:
    """Drugs of four families with bits of their own; effect = family effect × (log dose + 1), twice as strong in b."""
    rng = np.random.default_rng(seed)
    effects = np.random.default_rng(9).normal(size=(4, GENES))
    kind, dose = rng.integers(0, 4, n), rng.choice([0.0, 1.0, 2.0], n)
    bits = np.zeros((n, 80))
    for row, k in enumerate(kind):
        bits[row, k * 20 : (k + 1) * 20] = rng.random(20) < 0.8
    context = rng.choice(["a", "b"], n)
    scale = (dose + 1) * np.where(context == "b", 2, 1)
    names = [f"drug{seed}_{row}" for row in range(n)]
    delta = effects[kind] * scale[:, None] + 0.1 * rng.normal(size=(n, GENES))
    return make(names, context.tolist(), features=bits, log_dose=dose), delta


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(TanimotoNeighbors(), id="neighbours"),
        pytest.param(ConditionKernelRidge(), id="kernel-ridge"),
        pytest.param(FeatureRegression(KernelRidge(kernel="linear")), id="ridge"),
    ],
)
def test_features_tell_of_drugs_never_seen_and_shuffled_ones_do_not(response: BaseResponse) -> None:
    training, delta = family(120, 0)
    test, truth = family(40, 1)
    reference = MeanDelta().fit(training, delta).predict(test)

    def skill(known: Conditions) -> float:
        error = truth - clone(response).fit(known, delta).predict(test)
        return float(1 - (error**2).sum() / ((truth - reference) ** 2).sum())

    shuffled = make(
        ["+".join(names) for names in training.perturbations],
        training.context.tolist(),
        features=training.features[np.random.default_rng(0).permutation(120)],
        log_dose=training.log_dose,
    )
    assert skill(training) > 0.5
    assert skill(shuffled) < 0.05


def dose_series(noise_size: float, seed: int = 0) -> tuple[Conditions, np.ndarray, np.ndarray]:
    """30 drugs at 6 doses: a direction and a potency of each, what they share, noise. Measured and true changes."""
    rng = np.random.default_rng(seed)
    log_dose = np.tile(np.linspace(-1.5, 1.0, 6), 30)
    potency = rng.uniform(-1, 1, 30).repeat(6)
    strength = 1 / (1 + 10 ** (2 * (potency - log_dose)))  # Hill curve
    true = rng.normal(size=GENES) + strength[:, None] * rng.normal(size=(30, GENES)).repeat(6, axis=0)
    measured = true + noise_size * rng.normal(size=true.shape)
    return make([f"d{k}" for k in range(30) for _ in range(6)], log_dose=log_dose), measured, true


@pytest.mark.parametrize(
    ("noise_size", "least"), [pytest.param(0.1, 0.8, id="sure"), pytest.param(1.0, 0.25, id="noisy")]
)
def test_other_doses_tell_of_one_held_out(noise_size: float, least: float) -> None:
    conditions, measured, true = dose_series(noise_size)
    rng = np.random.default_rng(1)
    left_out = np.array([6 * drug + rng.integers(6) for drug in range(30)])
    rest = np.setdiff1d(np.arange(180), left_out)
    known, asked, truth = conditions.take(rest), conditions.take(left_out), true[left_out]
    error = ((DoseInterpolation().fit(known, measured[rest]).predict(asked) - truth) ** 2).sum()
    mean = ((MeanDelta().fit(known, measured[rest]).predict(asked) - truth) ** 2).sum()
    gap = np.abs(known.log_dose - asked.log_dose[:, None])
    gap[np.array(asked.perturbations) != np.array(known.perturbations).T] = np.inf
    nearest = ((measured[rest][gap.argmin(axis=1)] - truth) ** 2).sum()
    assert error < (1 - least) * mean
    assert error < nearest  # which takes the noise for the change


def test_interpolation_in_log_dose_is_that_of_a_gaussian_process() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    conditions, measured, _ = dose_series(0.5)
    model = DoseInterpolation().fit(conditions, measured)
    asked = np.array([-2.0, -0.3, 0.1, 3.0])
    predicted = model.predict(make(["d7"] * 4, log_dose=asked))
    rows, mean = np.arange(42, 48), measured.mean(axis=0)
    kernel = Matern(length_scale=1 / np.log(2), nu=0.5)  # halved with every tenfold
    reference = GaussianProcessRegressor(kernel, alpha=model.penalty_, optimizer=None)
    reference.fit(conditions.log_dose[rows, None], measured[rows] - mean)
    np.testing.assert_allclose(predicted, mean + reference.predict(asked[:, None]), atol=1e-8)
    np.testing.assert_allclose(model.predict(make(["new"], log_dose=np.zeros(1)))[0], mean)


def test_the_penalty_of_doses_is_that_of_leaving_each_condition_out() -> None:
    conditions, measured, _ = dose_series(1.0)
    model = DoseInterpolation().fit(conditions, measured)
    specific = measured - measured.mean(axis=0)

    def error(penalty: float) -> float:
        total = 0.0
        for start in range(0, 180, 6):
            dose, y = conditions.log_dose[start : start + 6], specific[start : start + 6]
            for k in range(6):
                rest = np.delete(np.arange(6), k)
                K, own = (2.0 ** -np.abs(a[:, None] - dose[rest]) for a in (dose[rest], dose[[k]]))
                total += ((y[k] - own @ np.linalg.solve(K + penalty * np.eye(5), y[rest])) ** 2).sum()
        return total

    assert error(model.penalty_) < min(error(model.penalty_ / 3.17), error(model.penalty_ * 3.17))


def test_noise_at_all_doses_is_shrunk_away_and_a_single_dose_by_half() -> None:
    conditions, _, _ = dose_series(0.0)
    delta = noise(180)
    model = DoseInterpolation().fit(conditions, delta)
    size = ((model.predict(conditions) - delta.mean(axis=0)) ** 2).sum() / ((delta - delta.mean(axis=0)) ** 2).sum()
    assert size < 0.01
    single = make(["x", "y"], log_dose=np.zeros(2))
    predicted = DoseInterpolation().fit(single, delta[:2]).predict(make(["x"], log_dose=np.ones(1)))
    mean = delta[:2].mean(axis=0)
    np.testing.assert_allclose(predicted[0], mean + 0.25 * (delta[0] - mean))  # half of it, half as like


def test_kernel_ridge_shrinks_components_that_are_noise_and_keeps_the_others() -> None:
    training, _ = family(120, 0)
    rng = np.random.default_rng(3)
    axes = np.linalg.qr(rng.normal(size=(GENES, GENES)))[0]
    kind = np.array([row.reshape(4, 20).sum(axis=1).argmax() for row in training.features])
    told = 3 * rng.normal(size=(4, 2))[kind] @ axes[:2]
    noise_of = rng.normal(size=(120, 2)) @ axes[2:4]
    test, _ = family(60, 1)
    predicted = ConditionKernelRidge().fit(training, told + noise_of).predict(test)

    def share(rows: slice) -> float:
        return float(
            (predicted @ axes[rows].T).var(axis=0).sum() / ((told + noise_of) @ axes[rows].T).var(axis=0).sum()
        )

    assert share(slice(2, 4)) < 0.03
    assert share(slice(2)) > 0.5


@pytest.mark.parametrize(("steep", "expected"), [(True, 0.2), (False, 0.9)])
def test_kernel_ridge_learns_how_much_doses_have_in_common(steep: bool, expected: float) -> None:
    training, _ = family(150, 0)
    effects = np.random.default_rng(9).normal(size=(3, 4, GENES))
    kind = np.array([row.reshape(4, 20).sum(axis=1).argmax() for row in training.features])
    dose = training.log_dose.astype(int) if steep else np.zeros(150, dtype=int)
    delta = effects[dose, kind] + 0.1 * np.random.default_rng(1).normal(size=(150, GENES))
    assert ConditionKernelRidge(dose_bases=(0.2, 0.9)).fit(training, delta).dose_base_ == expected


def test_features_are_required_where_they_are_used() -> None:
    for response in (TanimotoNeighbors(), ConditionKernelRidge(), FeatureRegression(KernelRidge())):
        with pytest.raises(ValueError, match="needs `conditions.features`; found None"):
            response.fit(make(["x", "y", "z"]), noise(3))


@pytest.mark.realdata
def test_kang_similarity_weighted_response_reaches_the_known_figure() -> None:
    import scanpy as sc

    import scgx

    adata = scgx.datasets.load("kang2018_labelled")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    X, control = adata.X.toarray(), adata.obs["is_control"].to_numpy(dtype=bool)
    kind = adata.obs["cell_type"].to_numpy(dtype=str)
    names = np.unique(kind)
    start, end = (np.stack([X[(kind == name) & side].mean(axis=0) for name in names]) for side in (control, ~control))
    conditions = Conditions((("ifn",),) * len(names), names, start)
    scores = {}
    for name, response in {"mean": MeanDelta(), "weighted": SimilarityWeighted()}.items():
        r = []
        for row in range(len(names)):
            rest = np.delete(np.arange(len(names)), row)
            predicted = response.fit(conditions.take(rest), (end - start)[rest]).predict(
                conditions.take(np.array([row]))
            )
            r.append(np.corrcoef(predicted[0], (end - start)[row])[0, 1])
        scores[name] = np.mean(r)
    assert scores == pytest.approx({"mean": 0.826, "weighted": 0.881}, abs=0.005)  # measured before this code
