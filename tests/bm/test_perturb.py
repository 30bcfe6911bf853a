from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from sklearn.model_selection import GroupKFold, KFold

import scgx
from scgx.estimators import BaseResponse, Conditions, SimilarityWeighted

GENES = 60
KEYS = {"perturbation_key": "drug", "control": "none"}


def cells(conditions: pd.DataFrame, effect: np.ndarray, *, n: int = 30, spread: float = 0.5, seed: int = 0) -> AnnData:
    """``n`` cells a condition around the profile of its context plus its effect; controls are conditions too."""
    rng = np.random.default_rng(seed)
    gene = np.random.default_rng(99).normal(3, 2, GENES)
    context = {name: gene + np.random.default_rng(k).normal(0, 0.5, GENES) for k, name in enumerate("abcdef")}
    rows = np.repeat(np.arange(len(conditions)), n)
    start = np.stack([context[name] for name in conditions["context"]])
    X = (start + effect)[rows] + spread * rng.normal(size=(len(rows), GENES))
    obs = conditions.iloc[rows].set_axis([f"cell{i}" for i in range(len(rows))])
    return AnnData(X.astype(np.float32), obs=obs)


def in_contexts(scale: dict[str, float]) -> AnnData:
    """One drug in several contexts: a common effect and one of the context's own."""
    rng = np.random.default_rng(1)
    conditions = pd.DataFrame([(drug, name) for name in scale for drug in ("none", "x")], columns=["drug", "context"])
    common = rng.normal(size=GENES)
    own = {name: size * rng.normal(size=GENES) for name, size in scale.items()}
    effect = np.stack([(common + own[c]) * (drug == "x") for drug, c in conditions.to_numpy()])
    return cells(conditions, effect)


def drugs(n_drugs: int = 24, **options: float) -> tuple[AnnData, pd.DataFrame]:
    """Drugs of three mechanisms, each with bits of its own; a common effect of all."""
    rng = np.random.default_rng(2)
    kind = np.arange(n_drugs) % 3
    effects, common = rng.normal(size=(3, GENES)), 0.5 * rng.normal(size=GENES)
    names = [f"drug{i:02d}" for i in range(n_drugs)]
    conditions = pd.DataFrame({"drug": ["none", *names], "context": "a", "kind": ["-", *kind.astype(str)]})
    bits = np.zeros((n_drugs, 60))
    for row, k in enumerate(kind):
        bits[row, k * 20 : (k + 1) * 20] = rng.random(20) < 0.8
    effect = np.vstack([np.zeros(GENES), common + effects[kind]])
    return cells(conditions, effect, **options), pd.DataFrame(bits, index=names)


def doubles() -> AnnData:
    """Singles u … z and doubles that are the sum of their singles; z is never measured alone."""
    names = ["none", "u", "v", "w", "x", "y", "u+v", "w+x", "y+u", "v+z", "x+z", "w+z"]
    single = {name: np.random.default_rng(k).normal(size=GENES) for k, name in enumerate("uvwxyz")}
    effect = np.stack([sum((single[g] for g in name.split("+") if g in single), np.zeros(GENES)) for name in names])
    return cells(pd.DataFrame({"drug": names, "context": "a"}), effect)


def value(frame: pd.DataFrame, method: str, metric: str, split: str = "") -> float:
    table = scgx.bm.summary(frame[frame["split"].str.contains(split, regex=False)]).set_index("method")
    return float(table.loc[method, metric])


class Oracle(BaseResponse):
    """Knows the measured profile of every drug: right, permuted over drugs, or the control copied."""

    def __init__(self, adata: AnnData, mode: str) -> None:
        self.adata, self.mode = adata, mode

    def __sklearn_clone__(self) -> Self:
        return self

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        if self.mode == "copies_control":
            return np.zeros(conditions.control.shape)
        X, drug = np.asarray(self.adata.X), self.adata.obs["drug"].to_numpy(dtype=str)
        names = sorted(set(drug) - {"none"})
        said = dict(zip(names, np.roll(names, 1) if self.mode == "permuted" else names, strict=True))
        return (
            np.stack([X[drug == said[name]].mean(axis=0) for (name,) in conditions.perturbations]) - conditions.control
        )


def test_result_is_tidy_and_has_every_baseline_and_the_ceiling() -> None:
    adata, features = drugs()
    frame = scgx.bm.perturb(adata, **KEYS, features=features, methods=["ridge"], n_divisions=2, dataset="s")
    assert list(frame.columns) == ["dataset", "split", "fold", "group", "method", "role", "metric", "value"]
    assert not frame.drop(columns="value").isna().any(axis=None)
    assert not frame.duplicated(["split", "fold", "group", "method", "metric"]).any()
    roles = frame.groupby("role")["method"].unique().map(set).to_dict()
    baselines = {"no_change", "mean_delta", "shuffled_pairs"}
    assert roles == {"baseline": baselines, "candidate": {"ridge"}, "ceiling": {"split_half"}}
    assert frame["split"].unique().tolist() == ["grouped by drug"]
    groups = frame[frame["group"] != ""]
    assert set(groups["group"]) == set(features.index)
    assert (groups.groupby("group")["fold"].nunique() == 1).all()
    means = {"pearson_delta", "pearson_delta_top20", "mse_top20"}
    assert set(groups["metric"]) == {"squared_error", "reference_squared_error", *means}
    gap = frame[frame["metric"] == "gap_closed"]
    assert gap[["method", "fold"]].to_numpy().tolist() == [["ridge", -1]]
    best, ceiling, score = (value(frame, name, "pearson_delta") for name in ("mean_delta", "split_half", "ridge"))
    assert gap["value"].item() == pytest.approx((score - best) / (ceiling - best))
    difference = scgx.bm.compare(frame, "ridge", "mean_delta")
    assert difference.low > 0
    assert difference.difference == pytest.approx(value(frame, "ridge", "skill"))


def test_scores_are_those_of_a_plain_loop_over_divisions() -> None:
    adata = in_contexts({"a": 0.3, "b": 0.3, "c": 0.3})
    frame = scgx.bm.perturb(adata, **KEYS, context_key="context", split="context", n_divisions=3, seed=5)
    X, obs = np.asarray(adata.X, dtype=float), adata.obs
    mean = {name: X[(obs["drug"] == "x") & (obs["context"] == name)].mean(axis=0) for name in "abc"}
    for fold, name in enumerate("abc"):
        r, error, reference = [], 0.0, 0.0
        for division in range(3):
            seed = int(np.random.SeedSequence([5, division]).generate_state(1)[0])
            halves = {
                c: scgx.metrics.split_controls(
                    np.flatnonzero((obs["drug"] == "none") & (obs["context"] == c)), seed=seed
                )
                for c in "abc"
            }
            own, other = ({c: X[half[side]].mean(axis=0) for c, half in halves.items()} for side in (0, 1))
            rest = [c for c in "abc" if c != name]
            weight = np.array([np.sum((other[c] - other[name]) ** 2) ** -2.0 for c in rest])
            predicted = (weight / weight.sum()) @ np.stack([mean[c] - other[c] for c in rest])
            true = mean[name] - own[name]
            r.append(np.corrcoef(true, predicted)[0, 1])
            error += np.sum((true - predicted) ** 2)
            reference += np.sum((true - np.mean([mean[c] - other[c] for c in rest], axis=0)) ** 2)
        rows = frame[(frame["fold"] == fold) & (frame["group"] == "") & (frame["method"] == "similarity_weighted")]
        found = rows.set_index("metric")["value"]
        assert found["pearson_delta"] == pytest.approx(np.mean(r), rel=1e-5)
        assert found["skill"] == pytest.approx(1 - error / reference, rel=1e-4)


def test_a_copy_of_the_control_is_exposed_although_raw_correlation_likes_it() -> None:
    adata, _ = drugs()
    frame = scgx.bm.perturb(adata, **KEYS, methods={"copy": Oracle(adata, "copies_control")}, n_divisions=5)
    assert value(frame, "copy", "pearson") > 0.8
    assert value(frame, "copy", "pearson_delta") == 0
    assert value(frame, "copy", "skill") < 0
    assert value(frame, "copy", "gap_closed") < 0


def test_permuted_predictions_and_shuffled_training_are_exposed() -> None:
    adata, features = drugs()
    models = {mode: Oracle(adata, mode) for mode in ("right", "permuted")}
    frame = scgx.bm.perturb(adata, **KEYS, features=features, methods=models, n_divisions=5)
    assert value(frame, "right", "pearson_delta_mean") > 0.9
    assert value(frame, "right", "skill") > 0.9
    assert value(frame, "permuted", "pearson_delta_mean") < 0  # another mechanism, less the mean of all
    assert value(frame, "permuted", "skill") < -0.5
    assert value(frame, "permuted", "pearson") > 0.7  # raw correlation sees nothing
    assert value(frame, "shuffled_pairs", "skill") < 0.02
    assert value(frame, "shuffled_pairs", "pearson_delta_mean") < 0.2


def test_noise_alone_scores_nothing_with_halves_and_much_with_shared_controls() -> None:
    """Nothing was done to any cell: what the mean of the others predicts is the noise of the controls."""
    conditions = pd.DataFrame({"drug": ["none", *(f"d{i}" for i in range(8))], "context": "a"})
    adata = cells(conditions, np.zeros((9, GENES)), n=20)
    honest = scgx.bm.perturb(adata, **KEYS, n_divisions=20)
    shared = scgx.bm.perturb(adata, **KEYS, n_divisions=0)
    assert abs(value(honest, "mean_delta", "pearson_delta")) < 0.15
    assert value(shared, "mean_delta", "pearson_delta") > 0.4
    assert shared["split"].unique().tolist() == ["grouped by drug, shared controls (optimistic)"]


def test_features_help_unseen_drugs_and_the_ceiling_is_above() -> None:
    adata, features = drugs(spread=1.5)
    frame = scgx.bm.perturb(adata, **KEYS, features=features, methods=["tanimoto_knn", "kernel_ridge"], n_divisions=3)
    for method in ("tanimoto_knn", "kernel_ridge"):
        assert value(frame, method, "pearson_delta") > value(frame, "mean_delta", "pearson_delta") + 0.1
        assert value(frame, method, "e_distance") < value(frame, "mean_delta", "e_distance")
    assert abs(value(frame, "split_half", "e_distance")) < 0.1 * value(frame, "no_change", "e_distance")


def test_combinations_are_told_by_how_many_parts_were_seen() -> None:
    frame = scgx.bm.perturb(doubles(), **KEYS, separator="+", split="combination", n_divisions=5)
    titles = {f"combinations, {n} of 2 seen alone" for n in (1, 2)}
    assert set(frame["split"]) == titles
    seen = frame[(frame["group"] != "") & frame["split"].str.contains("2 of")]["group"].unique()
    assert set(seen) == {"u+v", "w+x", "u+y"}
    assert value(frame, "additive", "pearson_delta", "2 of 2") > 0.9
    assert value(frame, "linear", "pearson_delta", "1 of 2") > value(frame, "additive", "pearson_delta", "1 of 2") + 0.1
    assert value(frame, "mean_delta", "pearson_delta", "2 of 2") < 0.5


def test_similar_contexts_count_more() -> None:
    """Effects grow with the first gene of the context; three contexts are near to each other, two far off."""
    adata = in_contexts({"a": 0.0, "b": 0.0, "c": 0.0, "d": 1.5, "e": 1.5})
    far = adata.obs["context"].isin(["d", "e"]).to_numpy()
    adata.X[far] += 3 * np.random.default_rng(0).normal(size=GENES)
    frame = scgx.bm.perturb(adata, **KEYS, context_key="context", split="context", n_divisions=3)
    rows = frame[(frame["metric"] == "pearson_delta") & frame["group"].isin(list("abc"))]
    mean = rows.groupby("method")["value"].mean()
    assert mean["similarity_weighted"] > mean["context_mean"] + 0.05
    assert mean["context_mean"] == pytest.approx(mean["mean_delta"])  # one drug: the same thing


def test_the_design_mean_knows_the_plate_and_controls_are_those_of_the_plate() -> None:
    """A plate adds to drugs what it does not add to its controls: the design mean sees it, all others fall short."""
    rng = np.random.default_rng(0)
    names = ["none", *(f"d{i}" for i in range(6))]
    conditions = pd.DataFrame([(d, p, "a") for p in "12" for d in names], columns=["drug", "plate", "context"])
    offset = {"1": 5 * rng.normal(size=GENES), "2": 5 * rng.normal(size=GENES)}
    artefact = {"1": rng.normal(size=GENES), "2": rng.normal(size=GENES)}
    effect = np.stack([offset[p] + (d != "none") * artefact[p] for d, p, _ in conditions.to_numpy()])
    frame = scgx.bm.perturb(cells(conditions, effect), **KEYS, design_keys=["plate"], n_divisions=3)
    assert value(frame, "design_mean", "pearson_delta") > 0.9
    assert value(frame, "mean_delta", "pearson_delta") < value(frame, "design_mean", "pearson_delta") - 0.1


def test_replicates_make_a_ceiling_with_controls_of_their_own() -> None:
    adata = in_contexts({"a": 0.3, "b": 0.3, "c": 0.3})
    adata.obs["donor"] = np.tile(["1", "2"], adata.n_obs // 2)
    donor_of_controls = (adata.obs["donor"] == "1").to_numpy()
    adata.X[donor_of_controls] += 2 * np.random.default_rng(0).normal(size=GENES)  # a shift of the donor cancels
    options = {"context_key": "context", "split": "context", "n_divisions": 2}
    frame = scgx.bm.perturb(adata, **KEYS, **options, replicate_key="donor")
    assert value(frame, "other_replicate", "pearson_delta") > 0.9
    assert "other_replicate" not in set(scgx.bm.perturb(adata, **KEYS, **options)["method"])


def test_doses_held_out_are_learned_about_from_other_doses() -> None:
    """Effects grow with the dose of a drug; one drug has a dose only, which nothing tells of: never tested."""
    names, doses = ["p", "q", "r", "s"], [0.1, 1.0, 10.0, 100.0]
    conditions = pd.DataFrame(
        [("none", 1.0), *((d, x) for d in names for x in doses), ("t", 1.0)], columns=["drug", "dose"]
    )
    direction = dict(zip([*names, "t"], np.random.default_rng(3).normal(size=(5, GENES)), strict=True))
    effect = [direction.get(d, np.zeros(GENES)) * (np.log10(x) + 2) for d, x in conditions.to_numpy()]
    adata = cells(conditions.assign(context="a"), np.stack(effect))
    frame = scgx.bm.perturb(adata, **KEYS, dose_key="dose", split="dose", n_divisions=2)
    assert frame["split"].unique().tolist() == ["doses held out"]
    assert set(frame.loc[frame["group"] != "", "group"]) == set(names)
    assert value(frame, "dose_interpolation", "skill") > 0.5
    assert value(frame, "shuffled_pairs", "skill") < 0.02
    # every dose of p to s was tested once: their errors under no change are the squared changes themselves
    own = frame[(frame["method"] == "no_change") & (frame["metric"] == "squared_error")]["value"].sum()
    assert own == pytest.approx((np.stack(effect)[1:-1] ** 2).sum(), rel=0.1)


def test_own_responses_stand_beside_names_and_one_alone_changes_nothing_of_theirs() -> None:
    adata, features = drugs(n_drugs=9)
    options = {"features": features, "n_divisions": 2}
    own = Oracle(adata, "copies_control")
    mixed = scgx.bm.perturb(adata, **KEYS, **options, methods=["ridge", own])
    assert set(mixed.loc[mixed["role"] == "candidate", "method"]) == {"ridge", "Oracle"}
    alone = scgx.bm.perturb(adata, **KEYS, **options, methods=["ridge"])
    both, one = (frame[(frame["method"] == "ridge") & (frame["metric"] != "seconds")] for frame in (mixed, alone))
    pd.testing.assert_frame_equal(both.reset_index(drop=True), one.reset_index(drop=True))
    renamed = scgx.bm.perturb(adata, **KEYS, **options, methods={"copy": own, "ridge": "ridge"})
    assert set(renamed.loc[renamed["role"] == "candidate", "method"]) == {"ridge", "copy"}


def test_conditions_without_features_are_left_out_for_all_methods_and_named() -> None:
    adata = doubles()
    known = pd.DataFrame(np.eye(5), index=list("uvwxy"))  # nothing is known of z
    options = {"separator": "+", "methods": ["ridge"], "n_divisions": 2}
    with pytest.warns(UserWarning, match=r"lacks a name in 3 of 11 perturbations.*: 'v\+z', 'w\+z', 'x\+z'"):
        frame = scgx.bm.perturb(adata, **KEYS, **options, features=known)
    assert frame.attrs["left_out"] == ["v+z", "w+z", "x+z"]
    named = adata[~adata.obs["drug"].str.contains("z")].copy()
    without = scgx.bm.perturb(named, **KEYS, **options, features=known)
    assert without.attrs["left_out"] == []
    frame.attrs = without.attrs
    kept = ~frame["metric"].isin(["seconds", "e_distance"])  # whose components see all cells
    pd.testing.assert_frame_equal(frame[kept], without[kept])


def test_strata_by_effect_size_are_thirds_of_the_conditions() -> None:
    adata, _ = drugs(n_drugs=9)
    strength = adata.obs["drug"].map(lambda name: 0 if name == "none" else 0.1 + int(name[4:])).to_numpy()
    adata.X += (strength[:, None] * np.random.default_rng(0).normal(size=GENES)).astype(np.float32)
    frame = scgx.bm.perturb(adata, **KEYS, n_folds=9, n_divisions=2)
    rows = frame[(frame["method"] == "mean_delta") & (frame["group"] == "")]
    by_fold = {metric: set(part["fold"]) for metric, part in rows.groupby("metric")}
    folds = frame[frame["group"] != ""].drop_duplicates("fold").set_index("fold")["group"]
    expected = {"weak": range(3), "medium": range(3, 6), "strong": range(6, 9)}
    for name, numbers in expected.items():
        assert set(folds[list(by_fold[f"pearson_delta_{name}"])]) == {f"drug{i:02d}" for i in numbers}


def test_scaffolds_are_held_out_whole_and_fingerprints_are_the_features() -> None:
    pytest.importorskip("rdkit")
    rings = ["c1ccccc1", "c1ccc2[nH]ccc2c1", "C1CCNCC1"]
    smiles = {f"drug{i:02d}": "C" * (i // 3 + 1) + rings[i % 3] for i in range(12)}
    adata, _ = drugs(n_drugs=12)
    adata.obs["smiles"] = adata.obs["drug"].map(smiles).fillna("")
    options = {"smiles_key": "smiles", "methods": ["tanimoto_knn"], "n_divisions": 2}
    frame = scgx.bm.perturb(adata, **KEYS, **options, split="scaffold")
    assert set(frame.loc[frame["group"] != "", "group"]) == {"c1ccccc1", "c1ccc2[nH]ccc2c1", "C1CCNCC1"}
    assert value(frame, "tanimoto_knn", "skill") < 0.1  # the scaffold makes the effect: nothing is known of a new one
    seen = scgx.bm.perturb(adata, **KEYS, **options, n_folds=12)
    assert value(seen, "tanimoto_knn", "skill") > 0.3


def test_a_leaking_split_is_refused_and_named() -> None:
    adata, _ = drugs(n_drugs=6)
    adata.obs["dose"] = np.tile([1.0, 10.0], adata.n_obs // 2)
    with pytest.raises(ValueError, match="the split leaks: .* groups are both in training and in testing: 'drug"):
        scgx.bm.perturb(adata, **KEYS, dose_key="dose", split=KFold(4, shuffle=True, random_state=0), n_divisions=1)
    with pytest.raises(ValueError, match="the split leaks: 2 groups .* '0', '1'"):
        scgx.bm.perturb(adata, **KEYS, group_key="kind", split=KFold(3), n_divisions=1)
    honest = scgx.bm.perturb(adata, **KEYS, group_key="kind", split=GroupKFold(3), n_divisions=1)
    assert honest["split"].unique().tolist() == ["grouped by kind"]
    random = scgx.bm.perturb(adata, **KEYS, dose_key="dose", split="random", n_divisions=1)
    assert random["split"].unique().tolist() == ["random (optimistic)"]


def test_sparse_cells_names_in_any_order_and_equal_seeds_agree(unchanged_rng: None) -> None:
    adata = doubles()
    other = adata.copy()
    other.X = sparse.csr_matrix(other.X)
    turned = ["+".join(reversed(name.split("+"))) for name in other.obs["drug"]]
    other.obs["drug"] = [f"{name}+none" if name in "uv" else name for name in turned]  # single written with the control
    before = other.obs.copy()
    first, second = (
        scgx.bm.perturb(data, **KEYS, separator="+", split="combination", n_divisions=2, seed=3)
        for data in (adata, other)
    )
    timed = first["metric"] == "seconds"
    pd.testing.assert_frame_equal(first[~timed], second[~timed])
    pd.testing.assert_frame_equal(other.obs, before)


def never(*arguments: object, **named: object) -> None:
    raise AssertionError("a response was fitted before the arguments were checked")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        pytest.param({"perturbation_key": "drgu"}, KeyError, "perturbation_key='drgu'.*nearest: 'drug'", id="key"),
        pytest.param({"design_keys": ["plat"]}, KeyError, r"design_keys\[0\]='plat'.*nearest: 'plate'", id="design"),
        pytest.param({"control": "DMSO"}, ValueError, "must hold `control`='DMSO' and perturbations", id="control"),
        pytest.param({"context_key": "lonely"}, ValueError, "there are 0 control cells for 'drug00'", id="controls"),
        pytest.param({"dose_key": "plate"}, ValueError, "must be a positive dose; found 'p1'", id="dose"),
        pytest.param({"split": "cell"}, ValueError, "`split` must be one of .* found 'cell'", id="split"),
        pytest.param({"split": "context"}, ValueError, "`split='context'` needs `context_key`", id="no-context"),
        pytest.param({"split": "scaffold"}, ValueError, "needs `smiles_key`", id="no-smiles"),
        pytest.param({"split": "dose"}, ValueError, "`split='dose'` needs `dose_key`", id="no-dose"),
        pytest.param({"split": "combination"}, ValueError, "`split='combination'` gives no fold", id="no-doubles"),
        pytest.param({"methods": ["ridge"]}, ValueError, "method 'ridge' needs features", id="no-features"),
        pytest.param({"methods": "rigde"}, ValueError, "`methods` must be names of", id="method"),
        pytest.param(
            {"methods": {"split_half": SimilarityWeighted()}}, ValueError, "gives the name 'split_half'", id="taken"
        ),
        pytest.param(
            {"features": pd.DataFrame([[1.0]], index=["drug"])},
            ValueError,
            "`features` has none of the perturbations; these are 'drug00', 'drug01'",
            id="lacks",
        ),
    ],
)
def test_bad_arguments_are_named_before_anything_is_fitted(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], error: type[Exception], match: str
) -> None:
    adata, _ = drugs(n_drugs=6)
    adata.obs["plate"] = "p1"
    adata.obs["lonely"] = adata.obs["drug"]
    monkeypatch.setattr(scgx.estimators.NoChange, "fit", never)
    with pytest.raises(error, match=match):
        scgx.bm.perturb(adata, **{**KEYS, **arguments})


def test_missing_values_are_refused() -> None:
    adata, _ = drugs(n_drugs=4)
    adata.X[3, 5] = np.nan
    with pytest.raises(
        ValueError, match=r"adata.X has 1 NaN or infinite values, the first at \(row, column\) \(3, 5\)"
    ):
        scgx.bm.perturb(adata, **KEYS)


@pytest.mark.realdata
def test_real_doubles_reach_the_figures_of_a_plain_loop() -> None:
    adata = scgx.datasets.load("norman2019_subset")
    both = ["KLF1+MAP2K6", "KLF1+TGFBR2", "MAP2K3+MAP2K6", "MAP2K3+SLC38A2", "MAPK1+TGFBR2"]
    wanted = {"control", *both, *(gene for name in both for gene in name.split("+"))}
    adata = adata[adata.obs["perturbation"].isin(wanted)].copy()
    options = {"perturbation_key": "perturbation", "control": "control", "separator": "+", "split": "combination"}
    frame = scgx.bm.perturb(adata, **options, methods=[])
    # 1,000 divisions written out; one of them has a standard deviation of .10 and .05
    assert value(frame, "additive", "pearson_delta") == pytest.approx(0.654, abs=0.04)
    assert value(frame, "split_half", "pearson_delta") == pytest.approx(0.761, abs=0.03)
    assert value(frame, "no_change", "pearson") > 0.95
    assert value(frame, "no_change", "pearson_delta") == 0
    shared = scgx.bm.perturb(adata, **options, methods=[], n_divisions=0)
    assert value(shared, "additive", "pearson_delta") == pytest.approx(0.870, abs=0.005)


@pytest.mark.realdata
def test_a_real_cell_type_left_out_reaches_the_figures_measured_before() -> None:
    import scanpy as sc

    adata = scgx.datasets.load("kang2018_labelled")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    keys = {
        "perturbation_key": "perturbation",
        "control": "control",
        "context_key": "cell_type",
        "replicate_key": "donor",
    }
    frame = scgx.bm.perturb(adata, **keys, split="context", n_divisions=10)
    for method, r in (("no_change", 0), ("mean_delta", 0.826), ("similarity_weighted", 0.881)):
        assert value(frame, method, "pearson_delta") == pytest.approx(r, abs=0.03)
    assert value(frame, "no_change", "pearson") > 0.8
    assert value(frame, "similarity_weighted", "e_distance") < 0.4 * value(frame, "mean_delta", "e_distance")
    # donors with controls of their own agree less than with those of one of them (.896)
    assert value(frame, "other_replicate", "pearson_delta") < 0.85
