from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def benchmark(frame: pd.DataFrame, *, metric: str = "skill", ax: Axes | None = None) -> Axes:
    """Show a metric of every method, baselines and ceilings apart: a dot a fold, a bar at their mean.

    Parameters
    ----------
    frame
        Result of :func:`scgx.bm.translate`, :func:`scgx.bm.perturb` or :func:`scgx.bm.biomarker` for one data set and
        split.
    metric
        Value of ``frame["metric"]`` to show; ``bm.biomarker`` has no skill: ``"balanced_accuracy"`` there.
    ax
        Axes to draw on; ``None`` makes a figure.

    Returns
    -------
    The axes.

    Raises
    ------
    KeyError
        If ``frame`` has no such metric.
    ValueError
        If ``frame`` does not hold exactly one data set and one split.
    """
    import matplotlib.pyplot as plt

    from scgx._core import require_key

    for column in ("dataset", "split"):
        if frame[column].nunique() != 1:
            raise ValueError(
                f"`frame` holds the {column}s {sorted(frame[column].unique())}; show one: "
                f"frame[frame[{column!r}] == name]."
            )
    folds = frame[frame["group"] == ""]
    require_key(folds["metric"].unique(), metric, "frame['metric']", "metric")
    values = folds[folds["metric"] == metric]
    mean = values.groupby(["method", "role"])["value"].mean().reset_index().sort_values("value")
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 0.32 * len(mean) + 1), layout="constrained")
    colors = {"baseline": "0.6", "candidate": "C0", "ceiling": "C2"}
    for row, (method, role, value) in enumerate(mean.itertuples(index=False)):
        dots = values.loc[values["method"] == method, "value"]
        ax.plot(dots, np.full(len(dots), row), "o", ms=4, alpha=0.6, mew=0, color=colors[role])
        ax.plot([value, value], [row - 0.35, row + 0.35], lw=2.5, color=colors[role], label=role)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(handles.values(), handles.keys(), frameon=False, loc="lower right")
    ax.axvline(0, color="0.8", lw=1, zorder=0)
    ax.set_yticks(range(len(mean)), mean["method"])
    ax.set_xlabel("skill: share of the gene mean's squared error removed" if metric == "skill" else metric)
    ax.set_title(f"{values['dataset'].iloc[0]}, {values['split'].iloc[0]}", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
