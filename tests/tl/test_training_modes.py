"""Mixed-, single- and cross-tissue training on studies whose maps between platforms are known."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import scgx
from scgx import pp, tl

P, M, PER_COMPOUND = 20, 12, 3


def study(signs: dict[str, float], n: int = 45, *, level: float = 0.0, seed: int = 0) -> ad.AnnData:
    """``n`` rows a tissue, three a compound; the target is the source's linear image times the tissue's sign.

    ``level`` is the spread of the tissues' own means on both platforms. Compounds were tried in every tissue.
    """
    system = np.random.default_rng(99)
    W = system.normal(size=(P, M)) / np.sqrt(P)
    levels, source_levels = (level * system.normal(size=(len(signs), size)) for size in (M, P))
    rng = np.random.default_rng(seed)
    tissue, compound = np.repeat(list(signs), n), np.tile(np.arange(n) // PER_COMPOUND, len(signs))
    X = rng.normal(size=(len(tissue), P))
    Y = np.repeat(list(signs.values()), n)[:, None] * (X @ W) + np.repeat(levels, n, axis=0)
    X += np.repeat(source_levels, n, axis=0)
    Y += 0.2 * rng.normal(size=Y.shape)
    obs = pd.DataFrame(
        {"tissue": tissue, "compound": np.char.add("c", compound.astype(str))}, index=[f"s{i}" for i in range(len(X))]
    )
    source = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i:02}" for i in range(P)]))
    target = ad.AnnData(Y.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"t{i:02}" for i in range(M)]))
    pp.add_target(source, target)
    return source


def fit(adata: ad.AnnData, training: str, **settings: object) -> tl.Translator:
    settings = {"method": "ridge", "group_key": "compound", "tissue_key": "tissue"} | settings
    return tl.Translator(training=training, **settings).fit(adata)


def skills(translator: tl.Translator) -> dict[str, float]:
    return translator.scores().set_index("method")["skill"].to_dict()


def target_scores(translator: tl.Translator) -> pd.DataFrame:
    return pd.DataFrame(translator.report()["target_tissue_scores"]).set_index(["rows", "method"])


def test_single_tissue_recovers_opposite_maps_that_mixed_cannot() -> None:
    adata = study({"liver": 1, "brain": -1})
    mixed, single = skills(fit(adata, "mixed")), skills(fit(adata, "single"))
    assert mixed["ridge"] < 0.05
    assert single["ridge per tissue"] > 0.8
    assert single["mean"] == pytest.approx(0, abs=1e-6)
    assert {"mean", "tissue_mean", "ridge per tissue"} == set(single)
    new = study({"liver": 1, "brain": -1}, seed=1)
    predicted, _ = fit(adata, "single").predict(new)
    assert np.square(predicted - new.obsm["target"]).mean() < 0.15


def test_mixed_learns_more_from_one_map() -> None:
    adata = study({"liver": 1, "brain": 1, "heart": 1}, n=15)
    assert skills(fit(adata, "mixed"))["ridge"] > skills(fit(adata, "single"))["ridge per tissue"] + 0.05


def test_an_unseen_tissue_is_predicted_by_the_model_of_all_rows() -> None:
    adata = study({"liver": 1, "brain": 1})
    new = adata[:6].copy()
    new.obs["tissue"] = "skin"
    mixed, single = fit(adata, "mixed"), fit(adata, "single")
    np.testing.assert_allclose(single.predict(new)[0], mixed.predict(new)[0], atol=1e-5)


def test_the_chosen_of_auto_per_tissue_beats_that_of_all_rows() -> None:
    adata = study({"liver": 1, "brain": -1}, n=30)
    methods = ["mean", "ridge", "pls"]
    mixed, single = (fit(adata, mode, method=methods) for mode in ("mixed", "single"))
    assert set(skills(single)) == {f"{m} per tissue" for m in methods} | {"stack", "mean", "tissue_mean"}
    assert max(skills(single).values()) > max(skills(mixed).values()) + 0.5


@pytest.mark.parametrize("training", ["single", "cross*"])
def test_what_was_fitted_is_saved(training: str, tmp_path: Path) -> None:
    adata = study({"liver": 1, "brain": -1}, n=20)
    settings = {"target_tissue": "brain", "n_target_samples": 2} if training == "cross*" else {}
    translator = fit(adata, training, method=["mean", "ridge"], **settings)
    translator.save(tmp_path)
    loaded = tl.Translator.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(adata)[0], translator.predict(adata)[0])
    assert loaded.training == training
    a, b = translator.report(), loaded.report()
    assert a.keys() == b.keys()
    for key in ("scores", "target_tissue_scores"):
        pd.testing.assert_frame_equal(pd.DataFrame(a.get(key, {})), pd.DataFrame(b.get(key, {})))


def test_forests_per_tissue_are_not_saved(tmp_path: Path) -> None:
    translator = fit(study({"liver": 1, "brain": -1}, n=12), "single", method="random_forest")
    with pytest.raises(ValueError, match="'random_forest per tissue'.* cannot be saved"):
        translator.save(tmp_path / "model")


@pytest.mark.parametrize("training", ["cross", "cross*"])
def test_rows_held_out_change_nothing_that_is_predicted(training: str) -> None:
    adata = study({"liver": 1, "heart": 1, "brain": 1}, n=30)
    first = fit(adata, training, target_tissue="brain")
    drawn = np.intersect1d(first.fitted.rows, np.flatnonzero(adata.obs["tissue"] == "brain"))
    other = adata.copy()
    spoiled = (other.obs["tissue"] == "brain").to_numpy()
    spoiled[drawn] = False
    other.obsm["target"][spoiled] += 100
    second = fit(other, training, target_tissue="brain")
    np.testing.assert_array_equal(first.predict(adata)[0], second.predict(adata)[0])
    np.testing.assert_array_equal(first.report()["half_width"], second.report()["half_width"])
    pd.testing.assert_frame_equal(
        first.scores().drop(columns="seconds"), second.scores().drop(columns="seconds"), check_exact=True
    )
    assert first.report()["target_tissue_coverage"] > 0.6 > second.report()["target_tissue_coverage"]
    assert target_scores(second).loc["all rows", "mae"].min() > 50


def test_cross_is_scored_on_the_target_tissue_that_it_never_saw() -> None:
    adata = study({"liver": 1, "heart": 1, "brain": -1})
    honest = fit(adata, "cross", target_tissue="brain")
    assert skills(honest)["ridge"] > 0.8  # other tissues say nothing about this one
    assert target_scores(honest).loc[("all rows", "ridge"), "skill"] < -1
    table = target_scores(fit(study({"liver": 1, "heart": 1, "brain": 1}), "cross", target_tissue="brain"))
    assert table.loc[("all rows", "ridge"), "skill"] > 0.8
    assert table.loc[("all rows", "mean"), "skill"] == pytest.approx(0, abs=1e-6)
    assert table.loc[("all rows", "ridge"), "n_rows"] == 45


def test_scores_of_the_target_tissue_are_those_of_a_model_of_the_others() -> None:
    adata = study({"liver": 1, "heart": 1, "brain": 1}, n=30, level=1)
    brain = (adata.obs["tissue"] == "brain").to_numpy()
    row = target_scores(fit(adata, "cross", target_tissue="brain")).loc[("all rows", "ridge")]
    others = tl.Translator("ridge", group_key="compound").fit(adata[~brain].copy())
    error = adata.obsm["target"][brain].astype(float) - others.predict(adata[brain].copy())[0]
    reference = adata.obsm["target"][brain] - adata.obsm["target"][~brain].mean(axis=0, dtype=float)
    assert row["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert row["skill"] == pytest.approx(1 - (error**2).sum() / (reference**2).sum(), rel=1e-4)


def test_groups_that_no_training_tissue_holds_are_scored_apart() -> None:
    adata = study({"liver": 1, "brain": 1}, n=30)
    new = (adata.obs["tissue"] == "brain") & adata.obs["compound"].isin(["c8", "c9"])
    adata.obs.loc[new, "compound"] += "x"
    table = target_scores(fit(adata, "cross", target_tissue="brain"))
    assert table["n_rows"].groupby("rows").unique().to_dict() == {"all rows": [30], "new groups": [6]}
    with_all = target_scores(fit(study({"liver": 1, "brain": 1}, n=30), "cross", target_tissue="brain"))
    assert set(with_all.index.get_level_values("rows")) == {"all rows"}


def test_cross_star_learns_the_level_of_the_target_tissue_from_one_sample() -> None:
    adata = study({"liver": 1, "heart": 1, "brain": 1}, level=2)
    cross = target_scores(fit(adata, "cross", target_tissue="brain"))
    star = target_scores(fit(adata, "cross*", target_tissue="brain"))
    assert star.loc[("all rows", "ridge balanced"), "mae"] < 0.7 * cross.loc[("all rows", "ridge"), "mae"]
    assert star.loc[("all rows", "tissue_mean"), "skill"] > 0.3
    assert star.loc[("all rows", "ridge balanced"), "n_rows"] == 45 - PER_COMPOUND


@pytest.mark.parametrize("n", [1, 4])
def test_cross_star_fits_so_many_rows_of_the_target_tissue(n: int) -> None:
    adata = study({"liver": 1, "brain": 1}, n=30)
    translator = fit(adata, "cross*", target_tissue="brain", n_target_samples=n)
    fitted = adata.obs["tissue"].iloc[translator.fitted.rows]
    assert fitted.value_counts().to_dict() == {"liver": 30, "brain": n}
    report = translator.report()
    assert (report["n_measured"], report["n_target_samples"]) == (30 + n, n)


def test_all_samples_of_the_target_tissue_may_be_learned_from() -> None:
    adata = study({"liver": 1, "brain": 1}, n=30)
    report = fit(adata, "cross*", target_tissue="brain", n_target_samples=30).report()
    assert report["target_tissue_scores"] == {}
    assert np.isnan(report["target_tissue_coverage"])


def test_translate_writes_the_report_and_honest_predictions(tmp_path: Path) -> None:
    adata = study({"liver": 1, "heart": 1, "brain": 1}, n=30)
    settings = {"group_key": "compound", "tissue_key": "tissue", "training": "cross", "target_tissue": "brain"}
    tl.translate(adata, method="ridge", **settings)
    translator = fit(adata, "cross", target_tissue="brain")
    brain = (adata.obs["tissue"] == "brain").to_numpy()
    np.testing.assert_allclose(adata.obsm["X_translated"][brain], translator.predict(adata)[0][brain], atol=1e-5)
    assert not np.allclose(adata.obsm["X_translated"][~brain], translator.predict(adata)[0][~brain], atol=1e-3)
    widths = scgx.get.translated(adata).layers["half_width"]
    np.testing.assert_array_equal(widths[brain][0], adata.uns["translate"]["half_width"])
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad").uns["translate"]
    assert (again["training"], again["target_tissue"]) == ("cross", "brain")
    assert list(again["target_tissue_scores"]["method"]) == ["ridge", "mean"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param({"training": "crossed"}, "`training` must be one of", id="unknown"),
        pytest.param({"training": "single"}, "needs the tissue of each row: give `tissue_key`", id="no tissue"),
        pytest.param({"training": "cross", "tissue_key": "tissue"}, "found None, there is 'brain', 'liver'", id="none"),
        pytest.param(
            {"training": "cross*", "tissue_key": "tissue", "target_tissue": "skin"}, "found 'skin'", id="not there"
        ),
        pytest.param({"target_tissue": "brain"}, "`training` is 'mixed'", id="no use"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], match: str) -> None:
    adata = study({"liver": 1, "brain": 1}, n=12)
    with pytest.raises(ValueError, match=match):
        tl.translate(adata, method="ridge", **arguments)
    assert "X_translated" not in adata.obsm


def tissues_of_treatments() -> tuple[ad.AnnData, ad.AnnData]:
    """Liver and kidney of 60 treatments, other animals and another order in each; one panel."""
    liver = study({"liver": 1}, n=60)
    liver.obs["treatment"] = [f"treatment{i}" for i in range(60)]
    order = np.random.default_rng(5).permutation(60)[:50]
    obs = liver.obs[["treatment", "compound"]].iloc[order].set_axis([f"kidney{i}" for i in range(50)])
    kidney = ad.AnnData(liver.obsm["target"][order], obs=obs, var=liver.var[:M])
    del liver.obsm, liver.uns
    return liver, kidney


def test_pairs_may_be_two_tissues_of_one_treatment() -> None:
    liver, kidney = tissues_of_treatments()
    pp.add_target(liver, kidney, on="treatment")
    tl.translate(liver, method="ridge", group_key="compound")
    scores = pd.DataFrame(liver.uns["translate"]["scores"]).set_index("method")["skill"]
    assert scores["ridge"] > 0.7
    assert liver.uns["translate"]["n_measured"] == 50


@pytest.mark.filterwarnings("ignore::UserWarning:mudata", "ignore::FutureWarning:mudata")
def test_either_direction_of_a_pair_can_be_translated() -> None:
    liver, kidney = tissues_of_treatments()
    there = pp.pair(liver, kidney, on="treatment")
    back = md.MuData({"source": there.mod["target"], "target": there.mod["source"]})
    skill = {}
    for name, mdata in (("there", there), ("back", back), ("paired anew", pp.pair(kidney, liver, on="treatment"))):
        translator = tl.Translator("ridge", group_key="compound").fit(mdata)
        assert list(translator.fitted.target_genes) == list(mdata.mod["target"].var_names)
        skill[name] = skills(translator)["ridge"]
    # 20 genes → 12 programs is nearly exact, 12 → 20 leaves what the 12 do not hold
    assert skill["there"] > 0.7
    assert 0.2 < skill["back"] < 0.65
    assert skill["paired anew"] == pytest.approx(skill["back"], abs=0.05)
