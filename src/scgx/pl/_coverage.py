from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx._core import require_key
from scgx.estimators import column_mean, group_folds
from scgx.metrics import interval_coverage, risk_coverage_curve
from scgx.pl._measured import Measured, measured_rows
from scgx.selection import conformal_half_width, conformal_half_width_by

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def coverage(
    adata: AnnData,
    *,
    key: str = "translated",
    target_key: str = "target",
    group_key: str | None = None,
    groupby: str | None = None,
    levels: Sequence[float] = LEVELS,
    n_folds: int = 5,
    seed: int = 0,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Show whether intervals hold what they promise, and whether their width knows what is hard.

    Left: share of the measured values inside the interval against its level, over all rows and within groups of them.
    Right: the risk–coverage curve (:func:`scgx.metrics.risk_coverage_curve`): mean absolute error of the values one
    keeps, narrowest interval first. A gene that hardly varies has small errors whatever predicts it, so the curve stands
    beside that of the gene's spread, which needs no model.

    Intervals are made as :func:`scgx.tl.translate` makes them (within the tissue, if it was given ``tissue_key``), but
    those of a row from the errors of *other* groups: no row widens its own interval.

    Parameters
    ----------
    adata
        Object after :func:`scgx.pp.add_target` and :func:`scgx.tl.translate`; rows with a measured target are used.
    key
        The ``key_added`` of :func:`scgx.tl.translate`.
    target_key
        The ``key_added`` of :func:`scgx.pp.add_target`.
    group_key
        ``.obs`` column whose groups stay together, for example the compound: that of :func:`scgx.tl.translate`.
    groupby
        ``.obs`` column, for example the tissue: a line for each of its values too.
    levels
        Nominal levels, between 0 and 1.
    n_folds
        Folds of groups; the width in one comes from the others.
    seed
        Seed of the folds.
    axes
        Two axes to draw on; ``None`` makes a figure.

    Returns
    -------
    The two axes. The title of the first says whether rows were predicted out of fold: errors of rows that the model was
    fitted to are too small.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If a level is not between 0 and 1, there are too few rows or groups, translated and registered target have
        different genes, or there are not two axes.
    """
    import matplotlib.pyplot as plt

    measured = measured_rows(adata, key, target_key)
    folds = group_folds(len(measured.rows), measured.labels(adata, group_key), n_folds=n_folds, seed=seed)
    tissue_key = measured.report["tissue_key"] or None
    tissue = None if tissue_key is None else _column(adata, tissue_key, measured.rows, "tissue_key of the translation")
    members = {"all rows": np.ones(len(measured.rows), dtype=bool)}
    if groupby is not None:
        labels = _column(adata, groupby, measured.rows, "groupby")
        members |= {str(name): labels == name for name in np.unique(labels)}
    width = {level: _held_out_width(measured, folds, level, tissue) for level in (*levels, measured.report["interval"])}
    if axes is None:
        _, axes = plt.subplots(ncols=2, figsize=(9.5, 3.8), layout="constrained")
    left, right = axes
    for name, rows in members.items():
        observed = [
            interval_coverage(measured.true[rows], measured.predicted[rows], width[level][rows]) for level in levels
        ]
        main = name == "all rows"
        left.plot(levels, observed, "o-", ms=4, lw=2 if main else 1, color="black" if main else None, label=name)
    _draw_risk(right, measured, width[measured.report["interval"]])
    left.axline((levels[0], levels[0]), slope=1, color="0.7", lw=1, ls="--", zorder=0)
    left.set(xlabel="level of the interval", ylabel="measured values inside")
    left.set_title(f"{len(measured.rows)} measured rows, predicted {measured.report['fitted_rows']}", fontsize="medium")
    left.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))  # there may be many tissues
    right.legend(frameon=False, fontsize="small", loc="lower right")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    return np.array([left, right], dtype=object)


def _column(adata: AnnData, key: str, rows: np.ndarray, argument: str) -> np.ndarray:
    require_key(adata.obs.columns, key, ".obs", argument)
    return adata.obs[key].iloc[rows].astype(str).to_numpy(dtype=str)


def _held_out_width(
    measured: Measured, folds: list[tuple[np.ndarray, np.ndarray]], level: float, tissue: np.ndarray | None
) -> np.ndarray:
    """Half-width of each value, n × m, from the errors of the other folds."""
    residuals = measured.true - measured.predicted
    width = np.empty(residuals.shape, dtype=np.float32)
    for rest, inside in folds:
        width[inside] = conformal_half_width(residuals[rest], level)
        if tissue is None:
            continue
        for name, own in zip(*conformal_half_width_by(residuals[rest], level, tissue[rest]), strict=True):
            width[inside[tissue[inside] == name]] = own
    return width


def _draw_risk(ax: Axes, measured: Measured, width: np.ndarray) -> None:
    error = np.abs(measured.true - measured.predicted)
    spread = np.sqrt(column_mean((measured.true - column_mean(measured.true)) ** 2))
    for name, uncertainty, color in (("interval's width", width, "C0"), ("gene's spread, no model", spread, "0.6")):
        ax.plot(*risk_coverage_curve(error, uncertainty), color=color, label=name)
    ax.axhline(np.nanmean(error), color="0.8", lw=1, zorder=0)
    ax.set(xlabel="share of the values kept, most certain first", ylabel="mean absolute error", xlim=(0, 1))
