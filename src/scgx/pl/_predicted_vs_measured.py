from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx.estimators import column_mean
from scgx.metrics import average, pearson, pearson_delta, r2_skill
from scgx.pl._measured import measured_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def predicted_vs_measured(
    adata: AnnData, *, key: str = "translated", target_key: str = "target", axes: Sequence[Axes] | None = None
) -> np.ndarray:
    """Show predicted against measured values as a density: as they are, and with the gene means taken out.

    On the left genes differ in level, which any prediction that knows the genes gets right. On the right only what
    differs between rows is left: a constant profile is a flat line there.

    Parameters
    ----------
    adata
        Object after :func:`scgx.pp.add_target` and :func:`scgx.tl.translate`; rows with a measured target are shown.
    key
        The ``key_added`` of :func:`scgx.tl.translate`.
    target_key
        The ``key_added`` of :func:`scgx.pp.add_target`.
    axes
        Two axes to draw on; ``None`` makes a figure.

    Returns
    -------
    The two axes. Their titles hold the mean over rows of :func:`scgx.metrics.pearson` and of
    :func:`scgx.metrics.pearson_delta`, and :func:`scgx.metrics.r2_skill` over the gene means. The label of the vertical
    axis says whether rows were predicted out of fold.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If fewer than three rows are measured, translated and registered target have different genes, or there are not
        two axes.
    """
    import matplotlib.pyplot as plt

    measured = measured_rows(adata, key, target_key)
    if axes is None:
        _, axes = plt.subplots(ncols=2, figsize=(8, 3.8), layout="constrained")
    left, right = axes
    true, predicted = measured.true, measured.predicted
    center = column_mean(true)
    r, delta = average(pearson(true, predicted)), average(pearson_delta(true, predicted, center))
    _draw(left, true, predicted, f"values as they are\nr = {r:.2f}")
    skill = r2_skill(true, predicted, center)
    _draw(right, true - center, predicted - center, f"gene means taken out\nr = {delta:.2f}, skill = {skill:.2f}")
    left.set_ylabel(f"predicted {measured.report['fitted_rows']}")
    return np.array([left, right], dtype=object)


def _draw(ax: Axes, true: np.ndarray, predicted: np.ndarray, title: str) -> None:
    used = np.isfinite(true) & np.isfinite(predicted)
    low, high = (float(end) for end in (min(true[used].min(), predicted[used].min()),
                                        max(true[used].max(), predicted[used].max())))  # fmt: skip
    ax.hexbin(true[used], predicted[used], gridsize=60, bins="log", mincnt=1, extent=(low, high, low, high), lw=0.1)
    ax.plot([low, high], [low, high], color="0.4", lw=1, ls="--")
    ax.set_title(title, fontsize="medium")
    ax.set_xlabel("measured")
    ax.set_aspect("equal")
    ax.spines[["top", "right"]].set_visible(False)
