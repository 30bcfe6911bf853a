from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from scgx.metrics import interval_coverage, pearson, pearson_delta
from scgx.pl._measured_change import MeasuredChange, measured_change

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def perturbation_change(
    adata: AnnData,
    measured: AnnData,
    *,
    perturbation: str | None = None,
    context: str | None = None,
    dose: float | None = None,
    key: str = "perturbation_predicted",
    n_labels: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Show the predicted change of each gene against the measured one, the mean change beside it as the baseline.

    Parameters
    ----------
    adata
        Object after :func:`scgx.tl.predict_perturbation`, or what :meth:`scgx.tl.PerturbationPredictor.predict` or
        :meth:`scgx.model.PerturbationGraph.predict` returned.
    measured
        Perturbed cells in the same unit, in the layer that was predicted from, with the ``.obs`` columns of the prediction.
        Changes are taken against its control cells of the context; against those of ``adata`` where it has none. Control
        cells that the prediction did not see are the honest choice: the noise of shared ones counts as agreement.
    perturbation, context, dose
        Which of the predicted conditions to show; ``None`` where there is one only.
    key
        The ``key_added`` of :func:`scgx.tl.predict_perturbation`.
    n_labels
        Number of genes to name: those whose measured change is largest. They have their interval too, where it is finite;
        it may reach beyond the frame.
    ax
        Axes to draw on; ``None`` makes a figure.

    Returns
    -------
    The axes, a dot a gene. The title holds the correlation of the changes over genes, and of what is left of both when the
    mean change is taken out, which is what was predicted of this perturbation. The legend holds the correlation of the mean
    change, and the share of all genes that lie inside their interval.

    Raises
    ------
    KeyError
        If there is no such result, condition or column, or ``measured`` has no cells of the condition.
    ValueError
        If several conditions were predicted and none is chosen, or ``measured`` has less than half of the genes.

    Examples
    --------
    >>> import scgx
    >>> scgx.tl.predict_perturbation(monocytes, "IFNB", reference=others, **keys)  # doctest: +SKIP
    >>> scgx.pl.perturbation_change(monocytes, treated_monocytes)  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt

    shown = measured_change(adata, measured, key=key, perturbation=perturbation, context=context, dose=dose)
    if ax is None:
        _, ax = plt.subplots(figsize=(4.6, 4.6), layout="constrained")
    ax.axline((0, 0), slope=1, color="0.6", lw=1, ls="--", zorder=0)
    title = f"{shown.title}\nr = {_r(shown.measured, shown.predicted):.2f}"
    if shown.mean is not None:
        _dots(ax, shown.measured, shown.mean, "0.7", f"mean change, r = {_r(shown.measured, shown.mean):.2f}")
        beyond = pearson_delta(shown.measured[None], shown.predicted[None], shown.mean)[0]
        title += f", beyond the mean change r = {beyond:.2f}"
    _dots(ax, shown.measured, shown.predicted, "C0", shown.method)
    ends = ax.dataLim.get_points()  # of the dots: an interval may reach far beyond them
    margin = 0.05 * (ends.max() - ends.min())
    ax.set(xlim=(ends.min() - margin, ends.max() + margin), ylim=(ends.min() - margin, ends.max() + margin))
    _name(ax, shown, np.argsort(-np.abs(shown.measured), kind="stable")[:n_labels])
    ax.set_title(title, fontsize="medium")
    ax.set(xlabel="measured change", ylabel="predicted change")
    ax.set_aspect("equal")
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return float(pearson(a[None], b[None])[0])


def _dots(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, label: str) -> None:
    ax.scatter(x, y, s=9, alpha=0.6, lw=0, color=color, label=label)


def _name(ax: Axes, shown: MeasuredChange, genes: np.ndarray) -> None:
    """Write names beside genes, and draw their intervals."""
    known = genes[np.isfinite(shown.half_width[genes])]
    if len(known):
        inside = interval_coverage(shown.measured, shown.predicted, shown.half_width)
        label = f"{shown.interval:.0%} interval, holds {inside:.0%} of the genes"
        x, y, half = shown.measured[known], shown.predicted[known], shown.half_width[known]
        ax.errorbar(x, y, half, fmt="none", ecolor="C0", elinewidth=0.8, alpha=0.6, label=label)
    for place, gene in enumerate(genes):
        at, left = (shown.measured[gene], shown.predicted[gene]), shown.measured[gene] < 0
        ax.annotate(
            shown.genes[gene],
            at,
            xytext=(3 if left else -3, -9 if place % 2 else 3),  # inwards, neighbours apart
            textcoords="offset points",
            ha="left" if left else "right",
            fontsize="x-small",
        )
