from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import scgx

N, M = 300, 40
SPREAD = {"even": 1.0, "wild": 4.0}


def translated(residuals: np.ndarray, **obs: np.ndarray) -> ad.AnnData:
    """Rows whose prediction errors are given, as if they had been translated."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(obs, index=[f"r{i}" for i in range(len(residuals))])
    source = ad.AnnData(rng.normal(size=residuals.shape).astype(np.float32), obs=table)
    target = ad.AnnData(rng.normal(size=residuals.shape).astype(np.float32), obs=table)
    scgx.pp.add_target(source, target)
    scgx.tl.translate(source, method="mean", tissue_key=None)
    source.obsm["X_translated"] = source.obsm["target"] - residuals.astype(np.float32)
    return source


def line(ax: Axes, label: str) -> np.ndarray:
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(found.get_xydata())


@pytest.fixture
def study() -> ad.AnnData:
    """Errors four times as large in one tissue."""
    rng = np.random.default_rng(0)
    tissue = np.array(list(SPREAD))[np.arange(N) % 2]
    return translated(rng.normal(size=(N, M)) * np.array([SPREAD[t] for t in tissue])[:, None], tissue=tissue)


def test_pooled_widths_hold_over_all_rows_and_fail_in_each_tissue(study: ad.AnnData) -> None:
    left, _ = scgx.pl.coverage(study, groupby="tissue")
    overall = line(left, "all rows")
    np.testing.assert_allclose(overall[:, 1], overall[:, 0], atol=0.02)
    assert line(left, "wild")[-2, 1] < 0.85 < 0.98 < line(left, "even")[-2, 1]  # at level 0.9


def test_widths_within_tissue_hold_in_each(study: ad.AnnData) -> None:
    study.uns["translate"]["tissue_key"] = "tissue"
    left, _ = scgx.pl.coverage(study, groupby="tissue", levels=[0.5, 0.9])
    for name in SPREAD:
        np.testing.assert_allclose(line(left, name), [[0.5, 0.5], [0.9, 0.9]], atol=0.03)


def test_no_group_widens_its_own_interval() -> None:
    """One group of five is far off: its own errors must not be in the width that it is judged by."""
    group = np.arange(100) // 20
    residuals = np.where(group[:, None] == 3, 100.0, np.random.default_rng(1).normal(size=(100, M)))
    adata = translated(residuals, group=group.astype(str))
    left, _ = scgx.pl.coverage(adata, group_key="group", groupby="group", levels=[0.8])
    assert line(left, "3")[0, 1] == 0
    assert line(left, "1")[0, 1] == 1  # judged by widths that hold the far group


def test_risk_is_the_mean_error_of_what_is_kept(study: ad.AnnData) -> None:
    study.uns["translate"]["tissue_key"] = "tissue"
    study.obsm["target"][:20, :3] = np.nan
    _, right = scgx.pl.coverage(study)
    error = np.abs(study.obsm["target"] - study.obsm["X_translated"])
    curve = line(right, "interval's width")
    np.testing.assert_allclose(curve[-1], [1, np.nanmean(error)], rtol=1e-5)
    even = np.nanmean(error[(study.obs["tissue"] == "even").to_numpy()])
    half = curve[np.argmin(np.abs(curve[:, 0] - 0.5)), 1]
    assert half == pytest.approx(even, rel=0.05)  # the even tissue comes first
    spread = line(right, "gene's spread, no model")
    assert len(spread) == M
    assert np.abs(spread[10:, 1] / np.nanmean(error) - 1).max() < 0.1  # knows no tissue


def test_axes_title_and_errors(study: ad.AnnData) -> None:
    _, axes = plt.subplots(ncols=2)
    left, right = scgx.pl.coverage(study, axes=axes)
    assert [left, right] == list(axes)
    assert left.get_title() == "300 measured rows, predicted out of fold"
    plt.close("all")
    with pytest.raises(KeyError, match="groupby='tisue' is not in .obs; nearest: 'tissue'"):
        scgx.pl.coverage(study, groupby="tisue")
    with pytest.raises(KeyError, match="group_key='compound'"):
        scgx.pl.coverage(study, group_key="compound")
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        scgx.pl.coverage(study, levels=[0.5, 1.0])
    assert not plt.get_fignums()
