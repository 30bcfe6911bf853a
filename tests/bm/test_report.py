from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scgx
from scgx.estimators import BaseResponse, Conditions

COLUMNS = ["dataset", "split", "fold", "group", "method", "role", "metric", "value"]
VOID = {"meta", "line", "circle", "rect"}
Show = Callable[..., "Page"]


class Page(HTMLParser):
    """Text and table cells of a page; every element must be closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.open, self.tags, self.attributes = source, [], set(), set()
        self.rows: list[list[str]] = []
        self.flags: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "li":
            self.flags.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        inside = self.open[-1:] or [""]
        if inside[0] in ("td", "th"):
            self.rows[-1][-1] += data
        if inside[0] == "li":
            self.flags[-1] += data

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows[1:], columns=self.rows[0]).set_index("method")


@pytest.fixture
def show(tmp_path: Path) -> Show:
    def write(frame: pd.DataFrame, **options: str) -> Page:
        scgx.bm.report(frame, tmp_path / "report.html", **options)
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return write


@pytest.fixture
def honest(study: AnnData) -> pd.DataFrame:
    return scgx.bm.translate(study, methods=["ridge"], group_key="compound", n_folds=3)


class Told(BaseResponse):
    """Predicts what it was told for each drug, whatever it is trained on; no change for others."""

    def __init__(self, delta: dict[str, np.ndarray]) -> None:
        self.delta = delta

    def fit(self, conditions: Conditions, delta: np.ndarray) -> Self:
        return self

    def predict(self, conditions: Conditions) -> np.ndarray:
        nothing = np.zeros(conditions.control.shape[1])
        return np.stack([self.delta.get(name, nothing) for (name,) in conditions.perturbations])


def screen() -> tuple[AnnData, dict[str, BaseResponse]]:
    """12 drugs with effects of their own on 30 genes; models that know them, mix them up, or copy the control."""
    rng = np.random.default_rng(0)
    names = [f"d{i:02d}" for i in range(12)]
    effect = {name: rng.normal(0.0, 0.7, 30) for name in names}
    drug = np.repeat(["none", *names], 10)
    shift = np.stack([effect.get(name, np.zeros(30)) for name in drug])
    X = rng.normal(4, 2, 30) + shift + 0.3 * rng.normal(size=shift.shape)
    models = {
        "right": Told(effect),
        "permuted": Told(dict(zip(names, [effect[name] for name in np.roll(names, 1)], strict=True))),
        "copy": Told({}),
    }
    return AnnData(
        X.astype(np.float32), obs=pd.DataFrame({"drug": drug}, index=[f"c{i}" for i in range(len(drug))])
    ), models


def rows(values: dict[str, tuple[str, dict[str, float]]]) -> pd.DataFrame:
    """A frame of two folds without groups, method → role and metrics."""
    return pd.DataFrame(
        [
            ("set", "grouped by donor", fold, "", method, role, metric, value)
            for method, (role, metrics) in values.items()
            for metric, value in metrics.items()
            for fold in range(2)
        ],
        columns=COLUMNS,
    )


def flags_of(page: Page, method: str) -> list[str]:
    return [flag for flag in page.flags if flag.startswith(f"{method} ")]


def test_page_holds_everything_and_loads_nothing(honest: pd.DataFrame, show: Show) -> None:
    page = show(honest, title="Two panels")
    assert "http" not in page.source.lower()
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert not page.attributes & {"src", "href", "onload"}
    assert "url(" not in page.source and "@import" not in page.source
    assert page.text.count("Two panels") == 2


def test_table_is_summary_and_compare(honest: pd.DataFrame, show: Show) -> None:
    table = show(honest).table()
    expected = scgx.bm.summary(honest).set_index("method")
    assert list(table.index) == list(expected.index)
    for metric in ("skill", "mae", "pearson_delta", "pearson"):
        np.testing.assert_allclose(table[metric].astype(float), expected[metric], rtol=0.006, atol=1e-6)
    best = expected[expected["role"] == "baseline"]["skill"].idxmax()
    assert table.loc[best, "role"] == "best baseline"
    assert table.loc["ridge", "role"] == "candidate"
    difference = scgx.bm.compare(honest, "ridge", best)
    cells = table[f"difference to {best} (95 %)"]
    assert cells["ridge"] == f"{difference.difference:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
    assert (cells.drop("ridge") == "").all()


def test_an_honest_benchmark_raises_no_flag(honest: pd.DataFrame, show: Show) -> None:
    page = show(honest)
    assert not page.flags
    assert "No red flag was raised" in page.text
    assert "Warning" not in page.text
    assert "Whole groups were held out" in page.text


def test_a_random_split_is_exposed(study: AnnData, show: Show) -> None:
    page = show(scgx.bm.translate(study, methods=["ridge"], n_folds=3))
    assert "Warning: this split is optimistic." in page.text
    assert [flag for flag in page.flags if flag.startswith("Optimistic split (random)")]


def test_shared_controls_are_exposed(show: Show) -> None:
    adata, models = screen()
    frame = scgx.bm.perturb(adata, perturbation_key="drug", control="none", methods=models, n_divisions=0)
    page = show(frame)
    assert "Warning: this split is optimistic." in page.text
    assert [flag for flag in page.flags if flag.startswith("Optimistic split (shared controls)")]


def test_pairs_that_were_shuffled_in_the_data_are_exposed(study: AnnData, show: Show) -> None:
    study.obsm["target"] = np.random.default_rng(1).permutation(study.obsm["target"])
    page = show(scgx.bm.translate(study, methods=["ridge"], group_key="compound", n_folds=3))
    (flag,) = [flag for flag in page.flags if "the best baseline" in flag]
    assert flag.startswith(("The best method, ridge, cannot be told from", "The best method, ridge, is worse than"))


def test_skill_of_shuffled_pairs_is_called_a_leak(honest: pd.DataFrame, show: Show) -> None:
    groups = honest["group"] != ""
    kept = honest[(honest["method"] != "shuffled_pairs") | ~groups]
    reference = honest[groups & (honest["method"] == "mean") & (honest["metric"] == "reference_squared_error")]
    shuffled = reference.assign(method="shuffled_pairs")
    for skill, flagged in ((0.01, False), (0.3, True)):
        error = shuffled.assign(metric="squared_error", value=(1 - skill) * shuffled["value"])
        flags = show(pd.concat([kept, shuffled, error])).flags
        assert len(flags) == flagged
        assert all("Leak: a method trained on shuffled pairs" in flag and "skill 0.30 [0.30" in flag for flag in flags)


def test_permuted_predictions_and_a_copy_of_the_control_are_exposed(show: Show) -> None:
    adata, models = screen()
    frame = scgx.bm.perturb(adata, perturbation_key="drug", control="none", methods=models, n_divisions=3)
    page = show(frame)
    scores = scgx.bm.summary(frame).set_index("method")
    assert (scores.loc[["copy", "permuted"], "pearson"] > 0.8).all()  # raw correlation is fooled by both
    assert [flag for flag in flags_of(page, "copy") if "A model that copies the control" in flag]
    assert [flag for flag in flags_of(page, "permuted") if "belong to other rows (permuted)" in flag]
    assert not flags_of(page, "right")
    assert not [flag for flag in page.flags if flag.startswith(("The best method", "Optimistic", "Leak"))]
    ceiling = page.table().loc["split_half"]
    assert ceiling["role"] == "ceiling"
    assert float(ceiling["pearson_delta"]) > 0.9
    assert float(page.table().loc["right", "gap_closed"]) == pytest.approx(scores.loc["right", "gap_closed"], rel=0.01)


def test_trivial_delta_with_high_raw_correlation_is_exposed(show: Show) -> None:
    """No better than the mean response, though its delta and its skill are above zero."""
    page = show(
        rows(
            {
                "mean_delta": ("baseline", {"skill": 0.0, "pearson": 0.95, "pearson_delta": 0.3}),
                "same": ("candidate", {"skill": 0.01, "pearson": 0.96, "pearson_delta": 0.3}),
                "better": ("candidate", {"skill": 0.2, "pearson": 0.96, "pearson_delta": 0.5}),
            }
        )
    )
    assert len(flags_of(page, "same")) == 1
    assert not flags_of(page, "better")


def test_biomarker_frames_have_their_own_score_and_ceiling(show: Show) -> None:
    page = show(
        rows(
            {
                "most_frequent": ("baseline", {"balanced_accuracy": 0.5, "auroc": 0.5}),
                "all_measured": ("baseline", {"balanced_accuracy": 0.9, "auroc": 0.95}),
                "measured": ("candidate", {"balanced_accuracy": 0.5, "auroc": 0.6}),
            }
        )
    )
    table = page.table()
    assert list(table.columns) == ["role", "balanced_accuracy", "auroc"]
    assert table["role"].to_dict() == {
        "all_measured": "ceiling",
        "most_frequent": "best baseline",
        "measured": "candidate",
    }
    assert page.flags == [
        "The best method, measured, is not above the best baseline, most_frequent, in balanced_accuracy."
    ]
    assert "No paired interval" in page.text


def test_raw_correlation_is_never_shown_alone(honest: pd.DataFrame, show: Show) -> None:
    columns = list(show(honest).table().columns)
    assert columns[columns.index("pearson_delta") + 1] == "pearson"
    assert "pearson" not in show(honest[honest["metric"] != "pearson_delta"]).table().columns


def test_data_sets_and_splits_are_told_apart(honest: pd.DataFrame, show: Show) -> None:
    page = show(pd.concat([honest, honest.assign(dataset="second"), honest.assign(split="random (optimistic)")]))
    for heading in ("data: grouped by compound", "second: grouped by compound", "data: random (optimistic)"):
        assert page.text.count(heading) == 1
    assert page.text.count("Warning") == 1


def test_names_are_escaped(honest: pd.DataFrame, show: Show) -> None:
    name = """<script>alert("x")</script> & 'co'"""
    honest["method"] = honest["method"].replace("ridge", name)
    page = show(honest.assign(dataset=name, split=f"random {name}"), title=name)
    assert "script" not in page.tags
    assert name in page.table().index
    assert page.text.count(name) >= 4


def test_errors_write_nothing(honest: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(KeyError, match="column='split' is not in frame"):
        scgx.bm.report(honest.drop(columns="split"), path)
    with pytest.raises(ValueError, match="`frame` has no rows"):
        scgx.bm.report(honest[:0], path)
    with pytest.raises(ValueError, match="holds none of the metrics .*'skill'.* for 'data'"):
        scgx.bm.report(honest[honest["metric"] == "mae"], path)
    assert not path.exists()
