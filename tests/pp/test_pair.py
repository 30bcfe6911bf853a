from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

from scgx import pp
from scgx._core import check_paired, dense_rows

# reading back, mudata itself warns of its next default; and of genes that both modalities have
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:mudata", "ignore:var_names are not unique:UserWarning")


def _platform(names: list[str], animals: list, genes: str, seed: int) -> ad.AnnData:
    X = np.random.default_rng(seed).poisson(2.0, (len(names), len(genes))).astype(np.float32)
    return ad.AnnData(X, obs=pd.DataFrame({"animal": animals}, index=names), var=pd.DataFrame(index=list(genes)))


@pytest.fixture
def source() -> ad.AnnData:
    return _platform(["s0", "s1", "s2", "s3"], ["a", "b", "b", None], "xyz", 0)


@pytest.fixture
def target() -> ad.AnnData:
    return _platform(["s3", "s1", "s9", "s0"], ["b", "a", "c", None], "yzvw", 1)


def test_rows_come_in_the_order_of_the_source(source: ad.AnnData, target: ad.AnnData) -> None:
    mdata = pp.pair(source, target)
    check_paired(mdata, "source", "target")
    assert list(mdata["target"].obs_names) == ["s0", "s1", "s3"]
    pd.testing.assert_frame_equal(mdata["source"].to_df(), source.to_df().loc[["s0", "s1", "s3"]])
    pd.testing.assert_frame_equal(mdata["target"].to_df(), target.to_df().loc[["s0", "s1", "s3"]])


def test_columns_stay_in_their_modality(source: ad.AnnData, target: ad.AnnData) -> None:
    mdata = pp.pair(source, target)
    assert mdata.obs.columns.empty
    assert list(mdata["source"].obs.columns) == ["animal"]


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_a_target_row_is_repeated_for_each_source_row(source: ad.AnnData, target: ad.AnnData) -> None:
    mdata = pp.pair(source, target, on="animal")
    check_paired(mdata, "source", "target")
    assert list(mdata.obs_names) == ["s0", "s1", "s2"]
    assert list(mdata["source"].obs["animal"]) == list(mdata["target"].obs["animal"]) == ["a", "b", "b"]
    np.testing.assert_array_equal(mdata["target"].X, target.X[[1, 0, 0]])


def test_array_types_agree(source: ad.AnnData, target: ad.AnnData, hold: Callable) -> None:
    mdata = pp.pair(hold(source), target)
    turned = pp.pair(target, hold(source))
    assert not mdata["source"].isbacked and not mdata["source"].is_view
    np.testing.assert_array_equal(dense_rows(mdata["source"].X), source.X[[0, 1, 3]])
    np.testing.assert_array_equal(dense_rows(turned["target"].X), source.X[[3, 1, 0]])


def test_the_modalities_are_copies(source: ad.AnnData, target: ad.AnnData) -> None:
    before = source.X.copy(), target.X.copy(), list(target.obs_names)
    mdata = pp.pair(source, target)
    mdata["source"].X[:] = -1
    mdata["target"].X[:] = -1
    np.testing.assert_array_equal(source.X, before[0])
    np.testing.assert_array_equal(target.X, before[1])
    assert list(target.obs_names) == before[2]


def test_survives_h5mu(source: ad.AnnData, target: ad.AnnData, tmp_path: Path) -> None:
    pp.pair(source, target).write(tmp_path / "x.h5mu")
    back = mudata.read_h5mu(tmp_path / "x.h5mu")
    check_paired(back, "source", "target")
    np.testing.assert_array_equal(back["target"].X, target.X[[3, 1, 0]])


@pytest.mark.filterwarnings("ignore:.* names are not unique")
@pytest.mark.parametrize(
    ("change", "on", "message"),
    [
        pytest.param(
            lambda s, t: setattr(s, "obs_names", list("aabc")), "animal", r"source\.obs_names must be", id="source obs"
        ),
        pytest.param(lambda s, t: setattr(t, "obs_names", list("aabc")), None, r"target\.obs_names", id="target obs"),
        pytest.param(lambda s, t: setattr(t, "var_names", list("aabc")), None, r"target\.var_names", id="target var"),
        pytest.param(lambda s, t: setattr(s, "var_names", list("aab")), None, r"source\.var_names", id="source var"),
        pytest.param(
            lambda s, t: setattr(t, "obs_names", list("abcd")),
            None,
            r"no row of source .*'s0'.*'a'.*say on=",
            id="no row",
        ),
    ],
)
def test_bad_input_is_named(
    source: ad.AnnData, target: ad.AnnData, change: Callable, on: str | None, message: str
) -> None:
    change(source, target)
    with pytest.raises(ValueError, match=message):
        pp.pair(source, target, on=on)
