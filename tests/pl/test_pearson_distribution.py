from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.stats import pearsonr

import scgx

N = 40


def medians(ax: Axes) -> dict[tuple[str, str], float]:
    """Height of each dot by kind of pair and kind of value."""
    labels = [label.get_text() for label in ax.get_xticklabels()]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in dots]
    return {(labels[round(x)], "raw" if x < round(x) else "delta"): y for x, y in places}


def test_medians_of_own_pairs_are_those_of_scipy(adata: ad.AnnData) -> None:
    found = medians(scgx.pl.pearson_distribution(adata))
    true, predicted = adata.obsm["target"][:30], adata.obsm["X_translated"][:30]
    center = true.mean(axis=0)
    own = "translated and\nown measurement"
    raw = np.median([pearsonr(a, b).statistic for a, b in zip(true, predicted, strict=True)])
    delta = np.median([pearsonr(a - center, b - center).statistic for a, b in zip(true, predicted, strict=True)])
    assert found[own, "raw"] == pytest.approx(raw, abs=1e-5)
    assert found[own, "delta"] == pytest.approx(delta, abs=1e-5)


def test_only_delta_tells_matched_from_mismatched(adata: ad.AnnData) -> None:
    found = medians(scgx.pl.pearson_distribution(adata, group_key="compound"))
    assert len(found) == 8
    for kind in ("translated and\nanother's", "two translated", "two measured"):
        assert found[kind, "raw"] > 0.7  # the shared gene levels
        assert abs(found[kind, "delta"]) < 0.25
    assert found["translated and\nown measurement", "delta"] > 0.8


def test_partners_come_from_other_groups(adata: ad.AnnData) -> None:
    """With two groups of equal rows within, a partner of the own group would correlate at 1."""
    adata.obs["half"] = np.arange(N) % 2
    rng = np.random.default_rng(1)
    profile = rng.normal(size=(2, 50)).astype(np.float32)
    adata.obsm["target"][:30] = profile[np.arange(30) % 2]
    adata.obsm["X_translated"] = profile[np.arange(N) % 2]
    found = medians(scgx.pl.pearson_distribution(adata, group_key="half"))
    assert found["two measured", "delta"] == pytest.approx(-1, abs=1e-4)
    assert found["translated and\nown measurement", "delta"] == pytest.approx(1, abs=1e-4)


def test_gaps_on_either_side_are_left_out(adata: ad.AnnData) -> None:
    adata.obsm["target"][:30, :5] = np.nan
    adata.obsm["X_translated"][:, :5] = 1e6
    found = medians(scgx.pl.pearson_distribution(adata))
    assert found["translated and\nown measurement", "delta"] > 0.8
    adata.obsm["target"][0] = np.nan
    adata.obsm["target"][1, 7:] = np.nan
    assert np.isfinite(list(medians(scgx.pl.pearson_distribution(adata)).values())).all()


def test_axes_title_and_object(adata: ad.AnnData) -> None:
    before = adata.copy()
    _, (left, right) = plt.subplots(ncols=2)
    assert scgx.pl.pearson_distribution(adata, ax=right) is right
    assert not left.collections
    assert right.get_title() == "30 measured rows, predicted out of fold"
    np.testing.assert_array_equal(adata.obsm["target"], before.obsm["target"])
    assert adata.uns.keys() == before.uns.keys()


def test_errors(adata: ad.AnnData) -> None:
    with pytest.raises(KeyError, match="group_key='compond' is not in .obs; nearest: 'compound'"):
        scgx.pl.pearson_distribution(adata, group_key="compond")
    adata.obs["one"] = "a"
    with pytest.raises(ValueError, match="`group_key` has one group only \\('a'\\)"):
        scgx.pl.pearson_distribution(adata, group_key="one")
    with pytest.raises(ValueError, match="2 rows have a measured target"):
        scgx.pl.pearson_distribution(adata[28:].copy())
    with pytest.raises(KeyError, match="X_other"):
        scgx.pl.pearson_distribution(adata, key="other")
    assert not plt.get_fignums()
