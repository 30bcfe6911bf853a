from __future__ import annotations

import pandas as pd
import pytest
from anndata import AnnData

import scgx


@pytest.fixture
def frame(study: AnnData) -> pd.DataFrame:
    return scgx.bm.translate(study, methods=["ridge"], group_key="compound", n_folds=3)


def test_difference_is_that_of_the_summary_and_its_sign_says_who_wins(frame: pd.DataFrame) -> None:
    skill = scgx.bm.summary(frame).set_index("method")["skill"]
    result = scgx.bm.compare(frame, "ridge", "same_gene")
    assert result.difference == pytest.approx(skill["ridge"] - skill["same_gene"])
    assert 0 < result.low < result.difference < result.high
    assert result.n_groups == 14
    mirrored = scgx.bm.compare(frame, "same_gene", "ridge")
    assert (mirrored.difference, mirrored.low, mirrored.high) == pytest.approx(
        (-result.difference, -result.high, -result.low)
    )


def test_a_method_equals_itself_and_a_lower_level_is_narrower(frame: pd.DataFrame) -> None:
    itself = scgx.bm.compare(frame, "ridge", "ridge")
    assert (itself.difference, itself.low, itself.high) == (0, 0, 0)
    wide, narrow = (scgx.bm.compare(frame, "ridge", "mean", level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_order_of_rows_does_not_matter(frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1, random_state=0)
    expected = scgx.bm.compare(frame, "ridge", "mean", seed=4)
    assert scgx.bm.compare(shuffled, "ridge", "mean", seed=4) == expected


@pytest.mark.parametrize(("a", "b", "named"), [("rigde", "mean", "a='rigde'"), ("mean", "rigde", "b='rigde'")])
def test_an_unknown_method_is_named(frame: pd.DataFrame, a: str, b: str, named: str) -> None:
    with pytest.raises(KeyError, match=rf"{named} is not in frame\['method'\]; nearest: 'ridge'"):
        scgx.bm.compare(frame, a, b)


@pytest.mark.parametrize("column", ["dataset", "split"])
def test_frames_that_cannot_be_paired_are_refused(frame: pd.DataFrame, column: str) -> None:
    both = pd.concat([frame, frame.assign(**{column: "another"})])
    match = rf"`frame` holds the {column}s \['another', .*\]; compare within one: frame\[frame\['{column}'\] == name\]"
    with pytest.raises(ValueError, match=match):
        scgx.bm.compare(both, "ridge", "mean")
