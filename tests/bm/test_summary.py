from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GroupKFold

import scgx


def test_skill_is_pooled_over_folds_as_in_a_scikit_learn_loop(study: AnnData) -> None:
    Y = np.nan_to_num(study.obsm["target"], nan=9.0)
    study.obsm["target"] = Y
    table = scgx.bm.summary(scgx.bm.translate(study, methods=["ridge"], group_key="compound", seed=2))
    error = reference = 0.0
    groups = study.obs["compound"].to_numpy(dtype=str)
    for train, test in GroupKFold(5, shuffle=True, random_state=2).split(Y, groups=groups):
        for strategy in ("median", "mean"):
            predicted = DummyRegressor(strategy=strategy).fit(Y[train], Y[train]).predict(Y[test])
            squared = np.sum((Y[test] - predicted) ** 2)
            error, reference = (error + squared, reference) if strategy == "median" else (error, reference + squared)
    skill = table.set_index("method")["skill"]
    assert skill["median"] == pytest.approx(1 - error / reference, rel=1e-5)
    assert skill["mean"] == pytest.approx(0, abs=1e-6)


def test_one_row_a_method_best_first_and_other_metrics_are_means_over_folds(study: AnnData) -> None:
    frame = scgx.bm.translate(study, methods=["ridge"], group_key="compound", n_folds=3)
    table = scgx.bm.summary(frame)
    assert table["method"].is_unique
    assert set(table["method"]) == set(frame["method"])
    assert table["skill"].is_monotonic_decreasing
    assert table["method"][0] == "ridge"
    rows = frame[(frame["method"] == "ridge") & (frame["group"] == "")]
    for metric in ("mae", "pearson_delta"):
        values = rows.loc[rows["metric"] == metric, "value"]
        assert table[metric][0] == pytest.approx(sum(values) / 3)
    assert table["seconds"][0] == pytest.approx(rows.loc[rows["metric"] == "seconds", "value"].sum())


def test_data_sets_and_splits_are_never_mixed(study: AnnData) -> None:
    parts = [
        scgx.bm.translate(study, methods=[], n_folds=2, group_key=key, dataset=name, seed=seed)
        for name, key, seed in (("a", "compound", 0), ("a", None, 1), ("b", "compound", 2))
    ]
    together = scgx.bm.summary(pd.concat(parts))
    alone = pd.concat([scgx.bm.summary(part) for part in parts])
    keys = ["dataset", "split", "method"]
    pd.testing.assert_frame_equal(
        together.set_index(keys).sort_index(), alone.set_index(keys).sort_index(), check_like=True
    )
