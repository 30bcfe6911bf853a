from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

import scgx

SKILL = {"mean": (0.0, 0.0, 0.0), "copy": (0.1, -0.5, 0.25), "ridge": (0.4, 0.5, 0.6), "auto": (0.7, 0.5, 0.3)}


@pytest.fixture
def frame() -> pd.DataFrame:
    """What `bm.translate` returns, with known values: 4 methods × 3 folds; group rows that must not be drawn."""
    rows = []
    for method, values in SKILL.items():
        role = "baseline" if method in ("mean", "copy") else "candidate"
        for fold, value in enumerate(values):
            scores = [("", "skill", value), ("", "mae", 2 - value), ("c1", "skill", 99.0), ("c1", "squared_error", 9.0)]
            rows += [("study", "grouped by compound", fold, group, method, role, *score) for group, *score in scores]
    return pd.DataFrame(rows, columns=["dataset", "split", "fold", "group", "method", "role", "metric", "value"])


def drawn(ax: Axes, marker: str) -> dict[str, tuple[np.ndarray, str]]:
    """Values and colour of each method's dots (marker "o") or bar ("None"), by the label of its row."""
    names = {int(y): label.get_text() for y, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    data = [line for line in ax.lines if list(line.get_ydata()) != [0, 1]]  # all but the line at zero
    return {
        names[round(np.mean(line.get_ydata()))]: (np.asarray(line.get_xdata()), to_hex(line.get_color()))
        for line in data
        if line.get_marker() == marker
    }


@pytest.mark.parametrize("metric", ["skill", "mae"])
def test_dots_are_folds_and_bars_their_mean(frame: pd.DataFrame, metric: str) -> None:
    ax = scgx.pl.benchmark(frame, metric=metric)
    dots, bars = drawn(ax, "o"), drawn(ax, "None")
    assert dots.keys() == bars.keys() == SKILL.keys()
    for method, values in SKILL.items():
        expected = np.array(values) if metric == "skill" else 2 - np.array(values)
        np.testing.assert_allclose(np.sort(dots[method][0]), np.sort(expected))
        np.testing.assert_allclose(bars[method][0], expected.mean())


def test_methods_are_sorted_and_baselines_have_a_colour_of_their_own(frame: pd.DataFrame) -> None:
    ax = scgx.pl.benchmark(frame)
    means = [np.mean(SKILL[label.get_text()]) for label in ax.get_yticklabels()]
    assert len(means) == 4
    assert means == sorted(means)
    for marker in ("o", "None"):
        color = {method: color for method, (_, color) in drawn(ax, marker).items()}
        assert color["mean"] == color["copy"] != color["ridge"] == color["auto"]
    legend = ax.get_legend()
    shown = {
        text.get_text(): to_hex(h.get_color()) for text, h in zip(legend.texts, legend.legend_handles, strict=True)
    }
    assert shown == {"baseline": color["mean"], "candidate": color["ridge"]}


def test_title_says_data_set_and_split(frame: pd.DataFrame) -> None:
    assert scgx.pl.benchmark(frame).get_title() == "study, grouped by compound"


def test_given_axes_are_drawn_on(frame: pd.DataFrame) -> None:
    _, (left, right) = plt.subplots(ncols=2)
    assert scgx.pl.benchmark(frame, metric="mae", ax=right) is right
    assert not left.lines
    assert right.get_xlabel() == "mae"


def test_an_unknown_metric_is_named(frame: pd.DataFrame) -> None:
    with pytest.raises(KeyError, match=r"metric='skil' is not in frame\['metric'\]; nearest: 'skill'"):
        scgx.pl.benchmark(frame, metric="skil")
    with pytest.raises(KeyError, match="metric='squared_error'"):  # a value a group, not a fold
        scgx.pl.benchmark(frame, metric="squared_error")
    assert not plt.get_fignums()


@pytest.mark.parametrize("column", ["dataset", "split"])
def test_frames_that_belong_apart_are_refused(frame: pd.DataFrame, column: str) -> None:
    both = pd.concat([frame, frame.assign(**{column: "another"})])
    with pytest.raises(ValueError, match=rf"`frame` holds the {column}s \['another', .*show one"):
        scgx.pl.benchmark(both)


def test_frames_of_the_other_jobs_are_served(frame: pd.DataFrame) -> None:
    """A ceiling has a colour of its own; rows over all folds and another first metric do no harm."""
    frame.loc[frame["method"] == "auto", ["method", "role"]] = ["split_half", "ceiling"]
    gap = frame[:1].assign(fold=-1, group="", method="ridge", metric="gap_closed", value=0.7)
    ax = scgx.pl.benchmark(pd.concat([frame, gap]))
    color = {method: color for method, (_, color) in drawn(ax, "None").items()}
    assert len({color["split_half"], color["ridge"], color["mean"]}) == 3
    assert [text.get_text() for text in ax.get_legend().texts].count("ceiling") == 1
    accuracy = frame.replace({"metric": {"skill": "balanced_accuracy"}})
    ax = scgx.pl.benchmark(accuracy, metric="balanced_accuracy")
    np.testing.assert_allclose(drawn(ax, "None")["ridge"][0], np.mean(SKILL["ridge"]))
