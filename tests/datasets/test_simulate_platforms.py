import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scgx.datasets import simulate_platforms

pytestmark = pytest.mark.filterwarnings("ignore:var_names are not unique:UserWarning")
RESPONSES = ["linear", "nonlinear"]


@pytest.fixture(scope="module", params=RESPONSES)
def simulated(request):
    return simulate_platforms(response=request.param, seed=11)


def _grouped_skill(mdata, estimator):
    X, Y, groups = mdata["source"].X, mdata["target"].X, mdata.obs["compound"]
    error = reference = 0.0
    for train, test in GroupKFold(5).split(X, groups=groups):
        mean = Y[train].mean(axis=0)
        predicted = mean + estimator.fit(X[train], Y[train] - mean).predict(X[test])
        error += np.square(Y[test] - predicted).sum()
        reference += np.square(Y[test] - mean).sum()
    return 1 - error / reference


def test_values_fall_into_the_categories_of_table_2(simulated):
    values = simulated["target"].X
    assert np.mean(np.abs(values) < 0.3) == pytest.approx(0.92, abs=0.01)
    assert np.mean((values >= 0.3) & (values < 1)) == pytest.approx(0.04, abs=0.01)
    assert np.mean((values <= -0.3) & (values > -1)) == pytest.approx(0.04, abs=0.01)
    assert 0.0003 <= np.mean(np.abs(values) >= 1) <= 0.003
    assert np.abs(values).max() < 5


def test_tissues_are_skewed_as_in_table_1(simulated):
    share = simulated.obs["tissue"].value_counts(normalize=True)
    codelink = {"LI": 14.2, "KI": 7.7, "HE": 5.3, "SM": 0.2, "BM": 2.7, "BR": 0.55, "IN": 0.17, "SP": 1.5}
    for tissue, millions in codelink.items():
        assert share[tissue] == pytest.approx(millions / 32.32, abs=1 / 600)


def test_modalities_are_paired_and_share_genes():
    mdata = simulate_platforms(100, 60, 50, n_shared=13)
    source, target = mdata["source"], mdata["target"]
    assert source.obs_names.is_unique and source.obs_names.equals(target.obs_names)
    assert source.obs.equals(target.obs) and source.obs.equals(mdata.obs)
    assert len(source.var_names.intersection(target.var_names)) == 13
    assert (source.shape, target.shape) == ((100, 60), (100, 50))


def test_shared_genes_agree_and_others_do_not(simulated):
    source, target = simulated["source"], simulated["target"]
    shared = source.var_names.intersection(target.var_names)
    same = _columnwise_r(source[:, shared].X, target[:, shared].X)
    rolled = _columnwise_r(source[:, shared].X, target[:, np.roll(shared, 1)].X)
    assert np.median(same) > 0.4 > 0.2 > np.median(np.abs(rolled))


def _columnwise_r(A, B):
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(A.T, B.T, strict=True) if a.std() and b.std()])


def test_rows_of_a_compound_resemble_each_other(simulated):
    obs, truth = simulated.obs, simulated["target"].layers["truth"]
    r = np.corrcoef(truth)
    compound, tissue = obs["compound"].to_numpy(), obs["tissue"].to_numpy()
    same_tissue = np.equal.outer(tissue, tissue) & ~np.eye(len(obs), dtype=bool)
    same_compound = np.equal.outer(compound, compound)
    assert np.median(r[same_tissue & same_compound]) > 0.5
    assert abs(np.median(r[same_tissue & ~same_compound])) < 0.1


def test_strength_rises_with_dose(simulated):
    truth = simulated["target"].layers["truth"]
    table = simulated.obs.assign(size=np.abs(truth).mean(axis=1))
    pairs = table.groupby(["compound", "tissue", "duration_days"], observed=True)
    low_high = pairs.apply(lambda rows: rows.sort_values("dose")["size"].to_numpy(), include_groups=False)
    assert all(low < high for low, high in low_high[low_high.map(len) == 2])


def test_truth_is_the_signal_and_the_rest_is_noise(simulated):
    measured, truth = simulated["target"].X, simulated["target"].layers["truth"]
    residual = measured - truth
    assert abs(np.corrcoef(residual.ravel(), truth.ravel())[0, 1]) < 0.05
    assert residual.std() == pytest.approx(0.08, rel=0.15)  # the default noise, and some more where counts are few
    ceiling = 1 - np.square(residual).sum() / np.square(measured - measured.mean(axis=0)).sum()
    assert 0.7 < ceiling < 0.9


def test_ridge_finds_the_signal_below_the_ceiling():
    ridge = make_pipeline(StandardScaler(), RidgeCV(10.0 ** np.arange(2, 5)))
    assert 0.4 < _grouped_skill(simulate_platforms(seed=2), ridge) < 0.7


def test_kernel_ridge_finds_the_nonlinear_signal():
    kernel_ridge = make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", gamma=0.1 / 400, alpha=0.1))
    assert 0.3 < _grouped_skill(simulate_platforms(response="nonlinear", seed=2), kernel_ridge) < 0.6


@pytest.mark.parametrize(("response", "low", "high"), [("linear", 0.97, 1.03), ("nonlinear", 0.5, 0.85)])
def test_array_saturates_where_the_truth_is_large(response, low, high):
    """Within a gene, the array shows a smaller share of a large induction than of a small one."""
    mdata = simulate_platforms(1500, 300, 300, n_shared=300, response=response, noise=0.02, seed=5)
    ratios = []
    for x, y in zip(mdata["target"].layers["truth"].T, mdata["source"].X.T, strict=True):
        small, large = np.abs(x) < 0.2, x > 0.6
        slopes = [x[part] @ y[part] / (x[part] @ x[part]) for part in (small, large) if part.sum() >= 10]
        if len(slopes) == 2 and slopes[0] > 0.1:  # a dead probe has no slope to compare
            ratios.append(slopes[1] / slopes[0])
    assert len(ratios) > 30
    assert low < np.median(ratios) < high


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_missing_values(missing):
    complete, gappy = (simulate_platforms(missing=fraction, seed=4) for fraction in (0.0, missing))
    for name in ("source", "target"):
        gaps = np.isnan(gappy[name].X)
        assert gaps.mean() == pytest.approx(missing, abs=0.005)
        np.testing.assert_array_equal(gappy[name].X[~gaps], complete[name].X[~gaps])
    assert np.isfinite(gappy["target"].layers["truth"]).all()


@pytest.mark.parametrize("response", RESPONSES)
def test_seed_alone_decides(response):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (simulate_platforms(80, 30, 20, response=response, seed=seed) for seed in (1, 1, 2))
    for name in ("source", "target"):
        np.testing.assert_array_equal(first[name].X, again[name].X)
        assert not np.array_equal(first[name].X, other[name].X)
    assert first.obs.equals(again.obs)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("response", RESPONSES)
def test_without_noise_the_linear_target_is_the_truth(response):
    target = simulate_platforms(100, 40, 30, response=response, noise=0.0)["target"]
    if response == "linear":
        np.testing.assert_array_equal(target.X, target.layers["truth"])
    else:  # Poisson noise stays
        assert 0.01 < np.std(target.X - target.layers["truth"]) < 0.06
    assert target.X.dtype == target.layers["truth"].dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_obs": 0}, "n_obs=0, expected at least 1"),
        ({"n_target": 50, "n_shared": 51}, "n_shared=51, expected 0 to 50"),
        ({"response": "cubic"}, "response='cubic', expected one of 'linear', 'nonlinear'"),
        ({"missing": 1.0}, "missing=1.0, expected a fraction"),
        ({"noise": 0.5}, "noise=0.5, expected 0 to 0.15"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_platforms(**arguments)
