from __future__ import annotations

import re

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

import scgx


def numbers(ax: Axes) -> list[float]:
    return [float(text) for text in re.findall(r"= (-?[\d.]+)", ax.get_title())]


def test_titles_are_those_of_scipy_and_scikit_learn(adata: ad.AnnData) -> None:
    left, right = scgx.pl.predicted_vs_measured(adata)
    true, predicted = adata.obsm["target"][:30], adata.obsm["X_translated"][:30]
    center = true.mean(axis=0)
    raw = np.mean([pearsonr(a, b).statistic for a, b in zip(true, predicted, strict=True)])
    delta = np.mean([pearsonr(a - center, b - center).statistic for a, b in zip(true, predicted, strict=True)])
    skill = r2_score(true, predicted, multioutput="variance_weighted")
    assert numbers(left) == pytest.approx([raw], abs=0.0051)
    assert numbers(right) == pytest.approx([delta, skill], abs=0.0051)
    assert left.get_ylabel() == "predicted out of fold"


def test_every_measured_value_is_drawn_once(adata: ad.AnnData) -> None:
    adata.obsm["target"][:30, :4] = np.nan
    for ax in scgx.pl.predicted_vs_measured(adata):
        assert ax.collections[0].get_array().sum() == 30 * 46


def test_a_constant_profile_is_exposed_on_the_right_only(adata: ad.AnnData) -> None:
    adata.obsm["X_translated"] = np.tile(np.nanmean(adata.obsm["target"], axis=0), (adata.n_obs, 1))
    left, right = scgx.pl.predicted_vs_measured(adata)
    assert numbers(left)[0] > 0.8
    assert numbers(right) == pytest.approx([0, 0], abs=1e-6)
    heights = right.collections[0].get_offsets()[:, 1]
    step = np.diff(right.collections[0].get_paths()[0].vertices[:, 1]).max()
    assert np.ptp(heights) <= 4 * step  # a line of hexagons


def test_axes_and_errors(adata: ad.AnnData) -> None:
    _, axes = plt.subplots(ncols=2)
    assert list(scgx.pl.predicted_vs_measured(adata, axes=axes)) == list(axes)
    plt.close("all")
    with pytest.raises(ValueError, match="2 rows have a measured target"):
        scgx.pl.predicted_vs_measured(adata[28:].copy())
    with pytest.raises(KeyError, match="X_other"):
        scgx.pl.predicted_vs_measured(adata, key="other")
    adata.uns["target"]["gene_names"] = adata.uns["target"]["gene_names"][::-1]
    with pytest.raises(ValueError, match="translate again"):
        scgx.pl.predicted_vs_measured(adata)
    assert not plt.get_fignums()
