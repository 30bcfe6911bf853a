from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GroupKFold

import scgx
from scgx.estimators import KernelRidge

SHARED_BASELINES = {"copy", "same_gene", "quantile"}
BASELINES = {"mean", "median", "shuffled_pairs"} | SHARED_BASELINES


def of_folds(frame: pd.DataFrame, method: str, metric: str) -> np.ndarray:
    rows = frame[(frame["group"] == "") & (frame["method"] == method) & (frame["metric"] == metric)]
    return rows.sort_values("fold")["value"].to_numpy()


def test_result_is_tidy_and_has_every_baseline(study: AnnData) -> None:
    frame = scgx.bm.translate(study, methods=["ridge"], group_key="compound", tissue_key="tissue", dataset="s")
    assert list(frame.columns) == ["dataset", "split", "fold", "group", "method", "role", "metric", "value"]
    assert frame["dataset"].unique().tolist() == ["s"]
    assert frame["split"].unique().tolist() == ["grouped by compound"]
    assert not frame.drop(columns="value").isna().any(axis=None)
    assert not frame.duplicated(["fold", "group", "method", "metric"]).any()
    roles = frame.groupby("role")["method"].unique().map(set).to_dict()
    assert roles == {"baseline": BASELINES | {"tissue_mean"}, "candidate": {"ridge"}}
    folds, groups = frame[frame["group"] == ""], frame[frame["group"] != ""]
    assert set(folds["fold"]) == {0, 1, 2, 3, 4}
    common = {"skill", "mae", "mae_strong", "mae_extreme", "pearson", "pearson_delta", "pearson_within_gene", "seconds"}
    for method, metrics in folds.groupby("method")["metric"].unique().items():
        assert set(metrics) == common | ({"coverage", "width"} if method == "mean" else set())
    assert set(groups["metric"]) == {"squared_error", "reference_squared_error"}
    assert set(groups["group"]) == set(study.obs["compound"])
    assert (groups.groupby("group")["fold"].nunique() == 1).all()


def test_methods_that_need_shared_genes_are_left_out_without_them(linked: Callable[..., AnnData]) -> None:
    rng = np.random.default_rng(0)
    adata = linked(rng.normal(size=(30, 5)), rng.normal(size=(30, 3)), n_shared=0)
    frame = scgx.bm.translate(adata, methods=["same_gene+kernel_ridge", "ridge"], n_folds=2)
    assert set(frame["method"]) == {"ridge"} | BASELINES - SHARED_BASELINES


def test_trivial_predictors_score_nothing(study: AnnData) -> None:
    frame = scgx.bm.translate(study, methods=[], group_key="compound")
    np.testing.assert_allclose(of_folds(frame, "mean", "skill"), 0, atol=1e-6)
    assert not of_folds(frame, "mean", "pearson_delta").any()
    assert of_folds(frame, "mean", "pearson").mean() != 0
    assert not of_folds(frame, "median", "pearson_within_gene").any()
    assert of_folds(frame, "shuffled_pairs", "skill").mean() < 0.02
    assert of_folds(frame, "same_gene", "skill").mean() > 0.2  # four of six genes are shared


def test_scores_are_those_of_a_loop_over_scikit_learn_folds(study: AnnData) -> None:
    frame = scgx.bm.translate(study, methods=["ridge"], group_key="compound", n_folds=4, seed=3)
    genes = np.argsort(study.var_names)
    X, Y, groups = study.X[:, genes], study.obsm["target"], study.obs["compound"].to_numpy(dtype=str)
    folds = GroupKFold(4, shuffle=True, random_state=3).split(X, groups=groups)
    for k, (train, test) in enumerate(folds):
        model = KernelRidge(kernel="linear", seed=3).fit(X[train], Y[train], groups=groups[train])
        error = Y[test].astype(float) - model.predict(X[test])
        mean_error = Y[test] - np.nanmean(Y[train].astype(float), axis=0)
        skill = 1 - np.nansum(error**2) / np.nansum(mean_error**2)
        assert of_folds(frame, "ridge", "skill")[k] == pytest.approx(skill, rel=1e-5)
        assert of_folds(frame, "ridge", "mae")[k] == pytest.approx(np.nanmean(np.abs(error)), rel=1e-5)
        rows = frame[(frame["fold"] == k) & (frame["method"] == "ridge") & (frame["metric"] == "squared_error")]
        expected = {g: np.nansum(error[groups[test] == g] ** 2) for g in set(groups[test])}
        assert dict(zip(rows["group"], rows["value"], strict=True)) == pytest.approx(expected, rel=1e-5)


def test_a_regressor_of_the_user_is_a_method(study: AnnData) -> None:
    study.obsm["target"] = np.nan_to_num(study.obsm["target"])
    frame = scgx.bm.translate(study, methods=["ridge", DummyRegressor()], group_key="compound", n_folds=2)
    assert set(frame.loc[frame["role"] == "candidate", "method"]) == {"ridge", "DummyRegressor"}
    np.testing.assert_allclose(of_folds(frame, "DummyRegressor", "skill"), 0, atol=1e-6)  # it is the mean
    with pytest.raises(ValueError, match="two regressors of one class"):
        scgx.bm.translate(study, methods=[DummyRegressor(), DummyRegressor()], group_key="compound")


def test_near_duplicates_make_a_random_split_optimistic(linked: Callable[..., AnnData]) -> None:
    """Source and target of a compound are unrelated: only having seen the compound helps."""
    rng = np.random.default_rng(0)
    compound = np.repeat(np.arange(12), 4)
    X, Y = rng.normal(size=(12, 30))[compound], rng.normal(size=(12, 8))[compound]
    adata = linked(X + 0.1 * rng.normal(size=X.shape), Y, compound=compound.astype(str))
    leaking = scgx.bm.translate(adata, methods=["kernel_ridge"], n_folds=3)
    honest = scgx.bm.translate(adata, methods=["kernel_ridge"], group_key="compound", n_folds=3)
    assert of_folds(leaking, "kernel_ridge", "skill").mean() > 0.8
    assert of_folds(honest, "kernel_ridge", "skill").mean() < 0.1
    assert leaking["split"].unique().tolist() == ["random (optimistic)"]
    assert honest["split"].unique().tolist() == ["grouped by compound"]
    assert set(leaking.loc[leaking["group"] != "", "group"]) == {str(i) for i in range(48)}


def test_interval_covers_what_it_says_and_is_narrower_for_the_better_method(linked: Callable[..., AnnData]) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 10))
    adata = linked(X, X @ rng.normal(size=(10, 40)) + rng.normal(size=(120, 40)), n_shared=0)
    frame = scgx.bm.translate(adata, methods=["auto"], interval=0.8, n_folds=2)
    for method in ("mean", "auto"):
        assert of_folds(frame, method, "coverage").mean() == pytest.approx(0.8, abs=0.06)
    assert of_folds(frame, "auto", "width").mean() < 0.6 * of_folds(frame, "mean", "width").mean()


def test_equal_seeds_agree_and_the_data_stay_as_they_are(study: AnnData, unchanged_rng: None) -> None:
    before = study.copy()
    first, second, other = (
        scgx.bm.translate(study, methods="ridge", group_key="compound", n_folds=2, seed=s) for s in (0, 0, 1)
    )
    timed = first["metric"] == "seconds"
    pd.testing.assert_frame_equal(first[~timed], second[~timed])
    assert (of_folds(first, "ridge", "skill") != of_folds(other, "ridge", "skill")).all()
    np.testing.assert_array_equal(study.X, before.X)
    np.testing.assert_array_equal(study.obsm["target"], before.obsm["target"])
    assert study.uns.keys() == before.uns.keys()


def test_folds_of_one_row_give_scores_without_warning(study: AnnData) -> None:
    """Five treatments are all there is in one real set: no correlation over samples, all else defined."""
    frame = scgx.bm.translate(study[:5].copy(), methods=["ridge"])
    assert np.isnan(of_folds(frame, "ridge", "pearson_within_gene")).all()
    assert np.isfinite(of_folds(frame, "ridge", "mae")).all()
    assert np.isinf(of_folds(frame, "mean", "width")).all()  # four rows are too few for 90 %


def opposite(linked: Callable[..., AnnData]) -> AnnData:
    """Two tissues with opposite maps, three rows a compound, each compound in both."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 12))
    tissue, compound = np.repeat(["brain", "liver"], 45), np.tile(np.arange(15), 6)
    Y = np.where(tissue == "liver", 1, -1)[:, None] * (X @ rng.normal(size=(12, 5))) + rng.normal(size=(90, 5))
    return linked(X, Y, n_shared=0, tissue=tissue, compound=compound.astype(str))


def test_a_model_a_tissue_is_compared_with_one_of_all_rows(linked: Callable[..., AnnData]) -> None:
    adata = opposite(linked)
    arguments = {"methods": ["ridge"], "group_key": "compound", "tissue_key": "tissue", "n_folds": 3}
    mixed, single = (scgx.bm.translate(adata, training=mode, **arguments) for mode in ("mixed", "single"))
    baselines = {"mean", "median", "shuffled_pairs", "tissue_mean"}
    assert set(single["method"]) == {"ridge per tissue"} | baselines
    for name in baselines:  # they stay as they are
        np.testing.assert_array_equal(of_folds(single, name, "mae"), of_folds(mixed, name, "mae"))
    both = pd.concat([mixed, single]).drop_duplicates(["fold", "group", "method", "metric"])
    assert scgx.bm.compare(both, "ridge per tissue", "ridge").low > 0.5


def test_what_other_tissues_teach_is_tested_on_each_tissue(linked: Callable[..., AnnData]) -> None:
    adata = opposite(linked)
    frame = scgx.bm.translate(
        adata, methods=["ridge"], group_key="compound", tissue_key="tissue", split="tissue", seed=2
    )
    assert frame["split"].unique().tolist() == ["each tissue held out"]
    assert (of_folds(frame, "ridge", "skill") < -0.5).all()  # the other tissue teaches the opposite
    np.testing.assert_allclose(of_folds(frame, "tissue_mean", "skill"), 0, atol=1e-6)
    genes, liver = np.argsort(adata.var_names), (adata.obs["tissue"] == "liver").to_numpy()
    X, Y = adata.X[:, genes], adata.obsm["target"]
    groups = adata.obs["compound"].to_numpy(dtype=str)
    model = KernelRidge(kernel="linear", seed=2).fit(X[~liver], Y[~liver], groups=groups[~liver])
    chosen = (frame["fold"] == "liver") & (frame["method"] == "ridge") & (frame["metric"] == "mae")
    assert frame.loc[chosen, "value"].item() == pytest.approx(np.abs(Y[liver] - model.predict(X[liver])).mean())


def never(*arguments: object, **named: object) -> None:
    raise AssertionError("a translator was fitted before the arguments were checked")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        pytest.param({"methods": ["ridge", "rigde"]}, ValueError, "`method` must be .*found 'rigde'", id="method"),
        pytest.param({"methods": "rigde"}, ValueError, "`method` must be .*found 'rigde'", id="method-alone"),
        pytest.param({"group_key": "compond"}, KeyError, "group_key='compond'.*nearest: 'compound'", id="group"),
        pytest.param({"tissue_key": "organ"}, KeyError, "tissue_key='organ'", id="tissue"),
        pytest.param({"target_key": "targets"}, KeyError, "target_key='targets'", id="target"),
        pytest.param({"group_key": "one"}, ValueError, "has one group only", id="one-group"),
        pytest.param({"training": "cross"}, ValueError, "`training` must be one of .*found 'cross'", id="training"),
        pytest.param({"training": "single"}, ValueError, "'single'` needs .* give `tissue_key`", id="single"),
        pytest.param({"split": "tissue"}, ValueError, "'tissue'` needs .* give `tissue_key`", id="split"),
        pytest.param({"split": "tissue", "tissue_key": "one"}, ValueError, "at least 2 tissues.*'a'", id="one-tissue"),
        pytest.param(
            {"split": "tissue", "training": "single", "tissue_key": "tissue"}, ValueError, "use one of both", id="both"
        ),
    ],
)
def test_bad_arguments_are_named_before_anything_is_fitted(
    study: AnnData, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], error: type[Exception], match: str
) -> None:
    study.obs["one"] = "a"
    monkeypatch.setattr(scgx.estimators.TrainingAverage, "fit", never)
    with pytest.raises(error, match=match):
        scgx.bm.translate(study, **arguments)


def real(name: str, source: str, target: str) -> AnnData:
    data = scgx.datasets.load(name)
    adata = data[source][data[source].obs["pair_id"].isin(data[target].obs["pair_id"])].copy()
    scgx.pp.add_target(adata, data[target], on="pair_id", gene_key="gene_symbol")
    return adata


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "source", "target", "method", "skill"),
    [
        pytest.param("ccle_affy_rnaseq", "affy1000", "rnaseq50", "same_gene+kernel_ridge", 0.49, id="ccle"),
        pytest.param("nci60_4arrays", "hgu133", "agilent", "kernel_ridge", 0.39, id="nci60"),
    ],
)
def test_real_panels_reach_the_known_skill(name: str, source: str, target: str, method: str, skill: float) -> None:
    frame = scgx.bm.translate(real(name, source, target), methods=[method], group_key="pair_id")
    table = scgx.bm.summary(frame).set_index("method")
    assert table.loc[method, "skill"] >= skill
    assert table.loc["shuffled_pairs", "skill"] < 0.02
    difference = scgx.bm.compare(frame, method, "mean")
    assert difference.low > 0.3


@pytest.mark.realdata
@pytest.mark.slow
def test_real_intervals_cover_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgx.selection._candidates.AUTO", ("mean", "ridge", "kernel_ridge"))  # seconds, not minutes
    adata = real("ccle_affy_rnaseq", "affy1000", "rnaseq50")
    frame = scgx.bm.translate(adata, methods=["auto"], group_key="pair_id", n_folds=3)
    table = scgx.bm.summary(frame).set_index("method")
    assert 0.87 <= table.loc["auto", "coverage"] <= 0.93
    assert table.loc["auto", "width"] < 0.8 * table.loc["mean", "width"]
