from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.ensemble import RandomForestClassifier

import scgx
from scgx.bm import biomarker

N, P, M = 160, 30, 20
Linked = Callable[..., AnnData]


def archive(linked: Linked, *, label_in: str = "both", seed: int = 0) -> AnnData:
    """160 rows of 40 compounds; the label (40 % of compounds) shifts the rows on both platforms or the source only."""
    rng = np.random.default_rng(seed)
    compound = np.repeat(np.arange(40), 4)
    label = (rng.permutation(40) < 16)[compound]
    programs = rng.normal(size=(N, 4))
    X = programs @ rng.normal(size=(4, P)) + 0.5 * rng.normal(size=(N, P))
    Y = programs @ rng.normal(size=(4, M)) + 0.5 * rng.normal(size=(N, M))
    X += np.outer(label, rng.normal(size=P))
    if label_in == "both":
        Y += np.outer(label, 0.4 * rng.normal(size=M))
    names = np.where(label, "necrosis", "healthy")
    return linked(X, Y, n_shared=0, compound=np.char.add("c", compound.astype(str)), label=names)


def scores(data: AnnData, **arguments: Any) -> pd.DataFrame:
    """Mean over folds, methods × metrics."""
    settings = {
        "label_key": "label",
        "group_key": "compound",
        "method": "ridge",
        "measured": 0.15,
        "n_folds": 4,
    } | arguments
    frame = biomarker(data, **settings)
    return frame.pivot_table(index="method", columns="metric", values="value")


def test_columns_roles_and_counts(linked: Linked) -> None:
    frame = biomarker(
        archive(linked), label_key="label", group_key="compound", method="ridge", dataset="sim", n_folds=4
    )
    assert list(frame.columns) == ["dataset", "split", "fold", "group", "method", "role", "metric", "value"]
    assert set(frame["split"]) == {"grouped by compound"}
    assert frame["fold"].nunique() == 4
    assert frame.drop_duplicates(["method"]).set_index("method")["role"].to_dict() == {
        "most_frequent": "baseline",
        "measured": "candidate",
        "measured+translated": "candidate",
        "translated": "candidate",
        "source": "candidate",
        "all_measured": "baseline",
    }
    rows = frame[frame["metric"] == "n_train"].pivot_table(index="fold", columns="method", values="value")
    # 30 of 40 compounds train; 30 % of them (label by label, hence rounded twice), 4 rows each, stay measured
    assert rows["measured"].isin([4 * 8, 4 * 9, 4 * 10]).all()
    assert (rows["measured"] + rows["translated"] == 120).all()
    assert set(rows["measured+translated"]) == set(rows["source"]) == set(rows["all_measured"]) == {120}


def test_translated_rows_help_where_few_are_measured(linked: Linked) -> None:
    gain = pd.concat(
        [scores(archive(linked, seed=seed), measured=0.1)["auroc"].to_frame(seed) for seed in range(3)], axis=1
    )
    difference = gain.loc["measured+translated"] - gain.loc["measured"]
    assert difference.mean() > 0.03
    assert gain.loc["measured+translated"].mean() < gain.loc["all_measured"].mean() + 0.02


def test_a_label_of_the_source_alone_is_not_found_on_the_target(linked: Linked) -> None:
    table = scores(archive(linked, label_in="source"))["auroc"]
    assert table["source"] > 0.95
    for method in ("measured", "measured+translated", "translated", "all_measured"):
        assert 0.3 < table[method] < 0.7, method


def test_shuffled_labels_are_at_chance(linked: Linked) -> None:
    data = archive(linked)
    names = data.obs.drop_duplicates("compound").set_index("compound")["label"]
    shuffled = dict(zip(names.index, np.random.default_rng(5).permutation(names), strict=True))
    data.obs["label"] = [shuffled[name] for name in data.obs["compound"]]
    table = scores(data)
    assert table.loc["most_frequent", ["auroc", "balanced_accuracy"]].tolist() == [0.5, 0.5]
    for method in ("measured", "measured+translated", "translated", "source", "all_measured"):
        assert 0.3 < table.loc[method, "auroc"] < 0.7, method


def test_test_rows_are_seen_by_neither_translator_nor_classifier(linked: Linked) -> None:
    """Spoiling the test rows of a fold leaves all that is fitted in it as it was, and changes the other folds."""
    data = archive(linked)
    seen: list[np.ndarray] = []

    class Spy(RandomForestClassifier):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Spy:
            seen.append(X)
            return super().fit(X, y)

    arguments: dict[str, Any] = {"label_key": "label", "group_key": "compound", "method": "ridge", "n_folds": 4}
    classifier = Spy(n_estimators=2, random_state=0)
    biomarker(data, classifier=classifier, **arguments)
    before, seen[:] = list(seen), []
    _, test = scgx.estimators.group_folds(N, data.obs["compound"].to_numpy(), n_folds=4, seed=0)[0]
    data.obsm["target"][test] = 1e3
    data.X[test] = -1e3
    biomarker(data, classifier=classifier, **arguments)
    per_fold = len(seen) // 4
    for first, second in zip(before[:per_fold], seen[:per_fold], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)
    assert any(not np.allclose(a, b) for a, b in zip(before[per_fold:], seen[per_fold:], strict=True))


def test_rows_without_a_target_are_legacy_rows_and_unlabelled_rows_left_out(linked: Linked) -> None:
    data = archive(linked)
    data.obsm["target"][::4] = np.nan  # a row of each compound
    full = scores(data, measured=1.0)["n_train"]
    assert full["translated"] == pytest.approx(30)
    assert full["measured"] == full["all_measured"] == pytest.approx(90)
    data.obs.loc[data.obs_names[::4], "label"] = None
    with pytest.raises(ValueError, match="leaves 0 legacy training groups in fold 0.*lower `measured`"):
        scores(data, measured=1.0)


def test_seed_decides_and_object_stays(linked: Linked) -> None:
    data = archive(linked)
    before = data.copy()
    first = scores(data, seed=1, n_folds=2)
    pd.testing.assert_frame_equal(scores(data, seed=1, n_folds=2), first)
    assert not scores(data, seed=2, n_folds=2).equals(first)
    np.testing.assert_array_equal(data.obsm["target"], before.obsm["target"])
    pd.testing.assert_frame_equal(data.obs, before.obs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param({"measured": 0}, ValueError, "`measured` must be a share in \\(0, 1\\]; found 0", id="share"),
        pytest.param({"measured": 1.0}, ValueError, "leaves 0 legacy training groups", id="no-legacy"),
        pytest.param({"measured": 0.001}, ValueError, "leaves 2 measured .* at least 3 .* raise `measured`", id="few"),
        pytest.param({"label_key": "lable"}, KeyError, "label_key='lable' is not in .obs; nearest: 'label'", id="key"),
        pytest.param({"method": "ridg"}, ValueError, "`method` must be 'auto'", id="method"),
    ],
)
def test_errors(linked: Linked, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        scores(archive(linked), **arguments)


@pytest.mark.realdata
def test_cell_lines_that_were_never_sequenced_tell_the_tissue_of_sequenced_ones() -> None:
    panels = scgx.datasets.load("ccle_affy_rnaseq")
    source, target = panels["affy1000"], panels["rnaseq50"]
    source = source[source.obs["pair_id"].isin(target.obs["pair_id"])].copy()
    scgx.pp.add_target(source, target, on="pair_id", gene_key="gene_symbol")
    table = scores(source, label_key="tissue", group_key="pair_id", measured=0.3)["auroc"]
    assert table["most_frequent"] == 0.5 < 0.7 < table["translated"] < table["all_measured"] < table["source"]


def test_summary_has_the_means_over_folds_and_no_skill(linked: Linked) -> None:
    frame = biomarker(archive(linked), label_key="label", group_key="compound", method="ridge", n_folds=3)
    table = scgx.bm.summary(frame).set_index("method")
    assert "skill" not in table
    auroc = frame[(frame["method"] == "measured") & (frame["metric"] == "auroc")]["value"]
    assert table.loc["measured", "auroc"] == pytest.approx(auroc.mean())
