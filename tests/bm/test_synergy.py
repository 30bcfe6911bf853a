from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scgx._core.drug_pairs import read_lines, read_pairs
from scgx.bm import compare, summary, synergy
from scgx.bm._synergy import _require_apart
from scgx.selection import _synergy

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.fixture(scope="module")
def screen(simulate_screen: Callable[..., Any]) -> Any:
    return simulate_screen(n_drugs=24, n_lines=4, n_rows=500, noise=0.2)


@pytest.fixture(scope="module")
def frame(screen: Any) -> pd.DataFrame:
    return synergy(
        screen.pairs, expression=screen.expression, methods=["pair_kernel", "random_forest"], split="drug", n_folds=3
    )


def test_baselines_are_always_run(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == ["dataset", "split", "fold", "group", "method", "role", "metric", "value"]
    roles = frame.drop_duplicates("method").set_index("method")["role"]
    assert set(roles[roles == "baseline"].index) == {"line_mean", "pair_mean", "one_hot", "random_vectors"}
    assert set(roles[roles == "candidate"].index) == {"pair_kernel", "random_forest"}
    assert set(frame["split"]) == {"drugs held out, one or both new"}


def test_features_beat_identity_and_random_vectors_on_new_drugs(frame: pd.DataFrame) -> None:
    area = frame[frame["metric"] == "auroc"].groupby("method")["value"].mean()
    assert area["pair_mean"] == pytest.approx(0.5)
    assert area["random_forest"] > max(area["one_hot"], area["random_vectors"]) + 0.05
    assert compare(frame, "random_forest", "random_vectors").low > 0
    table = summary(frame).set_index("method")
    assert table["skill"].idxmax() in ("random_forest", "pair_kernel")


def test_errors_of_groups_add_up_to_those_of_the_test_pairs(frame: pd.DataFrame, screen: Any) -> None:
    reference = frame[frame["metric"] == "reference_squared_error"]
    total = reference.groupby("method")["value"].sum()
    assert total.nunique() == 1
    # a label of 0 or 1 is at most 1 from a mean, and near a quarter squared at a balanced one
    n_tested = frame[(frame["metric"] == "squared_error") & (frame["method"] == "pair_mean")]["value"].sum() / 0.25
    assert total.iloc[0] / 0.25 == pytest.approx(n_tested, rel=0.01)


def test_repeats_are_left_out_and_a_random_split_is_marked(screen: Any) -> None:
    swapped = screen.pairs.rename(
        columns={"drug_a": "drug_b", "drug_b": "drug_a", "smiles_a": "smiles_b", "smiles_b": "smiles_a"}
    )
    settings = {"expression": screen.expression, "methods": ["logistic"], "split": "random", "n_folds": 2}
    once = synergy(screen.pairs, **settings)
    assert set(once["split"]) == {"random (optimistic)"}
    pd.testing.assert_frame_equal(synergy(pd.concat([screen.pairs, swapped]), **settings), once)


def test_auto_chooses_inside_the_training_part(screen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_synergy, "_AUTO", ("line_mean", "logistic", "pair_kernel"))
    settings = {"expression": screen.expression, "split": "line", "n_folds": 2, "n_inner": 2}
    frame = synergy(screen.pairs, methods="auto", **settings)
    assert "auto" in set(frame["method"])
    assert set(frame.loc[frame["group"] != "", "group"]) == {"line0", "line1", "line2", "line3"}
    # answers of a line are not seen when it is predicted: turning them over turns its area over
    turned = screen.pairs.assign(label=1 - screen.pairs["label"])
    other = synergy(turned, methods="auto", **settings)
    area = [f[(f["metric"] == "auroc") & (f["method"] == "auto")]["value"].to_numpy() for f in (frame, other)]
    np.testing.assert_allclose(area[0], area[1], atol=0.02)


def test_a_leak_is_named(screen: Any) -> None:
    pairs = read_pairs(screen.pairs, read_lines(screen.expression), argument="pairs")
    for split in ("pair", "line", "drug", "both_drugs", "random"):
        with pytest.raises(ValueError, match="the split leaks"):
            _require_apart(pairs, pairs.take(np.arange(10)), split)


def test_too_little_to_hold_out(screen: Any) -> None:
    one = screen.pairs[screen.pairs["cell_line"] == "line1"]
    with pytest.raises(ValueError, match="split='line' leaves nothing to test"):
        synergy(one, expression=screen.expression, split="line")
