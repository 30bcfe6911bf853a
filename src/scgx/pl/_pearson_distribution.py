from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx.estimators import column_mean
from scgx.metrics import pearson, pearson_delta
from scgx.pl._measured import measured_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = {"raw": "0.65", "delta": "C0"}


def pearson_distribution(
    adata: AnnData,
    *,
    key: str = "translated",
    target_key: str = "target",
    group_key: str | None = None,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Show how much closer a translated profile is to its own measurement than to that of another row.

    Violins of the Pearson correlation over genes: a translated row with its own measurement, with the measurement of
    another row, two translated rows, and two measured rows. Each twice: on the values as they are (``raw``), where
    rows resemble each other whatever was done to them, and after the gene means of the measured rows are taken out
    (``delta``), where pairs that do not belong together come to lie around 0 or, between opposite groups, below.

    Parameters
    ----------
    adata
        Object after :func:`scgx.pp.add_target` and :func:`scgx.tl.translate`; rows with a measured target are shown.
    key
        The ``key_added`` of :func:`scgx.tl.translate`.
    target_key
        The ``key_added`` of :func:`scgx.pp.add_target`.
    group_key
        ``.obs`` column, for example the compound: the other row of a pair is then of another group.
    seed
        Seed of the choice of the other row.
    ax
        Axes to draw on; ``None`` makes a figure.

    Returns
    -------
    The axes; a dot marks each median. The title says whether rows were predicted out of fold.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If fewer than three rows are measured, a row has no partner of another group, or translated and registered
        target have different genes.

    References
    ----------
    Cong et al., BMC Bioinformatics 2026, Fig. 7 (raw values).
    """
    import matplotlib.pyplot as plt

    measured = measured_rows(adata, key, target_key)
    partners = _partners(measured.labels(adata, group_key), seed)
    correlations = _correlations(measured.true, measured.predicted, partners)
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    _draw(ax, correlations)
    ax.set_title(f"{len(measured.rows)} measured rows, predicted {measured.report['fitted_rows']}", fontsize="medium")
    return ax


def _partners(groups: np.ndarray, seed: int) -> np.ndarray:
    """For each row another one at random, of another group."""
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"`group_key` has one group only ('{names[0]}'); pairs of different groups need at least 2.")
    rng = np.random.default_rng(seed)
    others = [np.flatnonzero(group != k) for k in range(len(names))]
    return np.array([rng.choice(others[k]) for k in group])


def _correlations(true: np.ndarray, predicted: np.ndarray, other: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Raw and delta correlations of each kind of pair."""
    center = column_mean(true)
    pairs = {
        "translated and\nown measurement": (true, predicted),
        "translated and\nanother's": (true[other], predicted),
        "two translated": (predicted[other], predicted),
        # the metrics leave out gaps of their first argument only
        "two measured": (np.where(np.isnan(true), np.nan, true[other]), np.nan_to_num(true)),
    }
    return {
        label: {"raw": _known(pearson(a, b)), "delta": _known(pearson_delta(a, b, center))}
        for label, (a, b) in pairs.items()
    }


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _draw(ax: Axes, correlations: dict[str, dict[str, np.ndarray]]) -> None:
    for place, kinds in enumerate(correlations.values()):
        for shift, (kind, values) in zip((-0.2, 0.2), kinds.items(), strict=True):
            if not len(values):
                continue
            ax.violinplot(values, positions=[place + shift], widths=0.36, showextrema=False)
            ax.collections[-1].set(facecolor=_COLORS[kind], alpha=0.7, label=kind)
            ax.plot(place + shift, np.median(values), "o", color="black", ms=4)
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(handles.values(), handles.keys(), frameon=False)
    ax.axhline(0, color="0.8", lw=1, zorder=0)
    ax.set_xticks(range(len(correlations)), list(correlations))
    ax.set_ylabel("Pearson correlation over genes")
    ax.spines[["top", "right"]].set_visible(False)
