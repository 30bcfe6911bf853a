from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import ExperimentKeys, PredictedReactomeKeys, registered_reactome, require_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STATES = ("not measured", "predicted", "measured")
_COLORS = ("0.93", "#a9c9e8", "#2f6db3")


def reactome_design(
    adata: AnnData,
    *,
    reactome_key: str = "reactome",
    predicted_key: str | None = None,
    suggested_key: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Show which drug × organ cells of a reactome were measured, which are predicted, and which to measure next.

    A cell counts as measured if some gene was measured in one of its conditions (doses, times, vehicles).

    Parameters
    ----------
    adata
        Genes with a reactome (:func:`scgx.pp.reactome`) of drugs.
    reactome_key
        The ``key_added`` of :func:`scgx.pp.reactome`.
    predicted_key
        The ``key_added`` of :func:`scgx.tl.predict_reactome`; ``None``: its default, where there is such a result.
    suggested_key
        The ``key_added`` of :func:`scgx.tl.suggest_experiments`; ``None``: its default, where there is such a result.
        The number in a cell is its (first) place in the order of choice.
    ax
        Axes to draw on; ``None`` makes a figure.

    Returns
    -------
    The axes: organs × drugs, sorted by name; drugs that are only predicted or suggested come last.

    Raises
    ------
    KeyError
        If a key is missing, or the conditions have no drug.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    reactome = registered_reactome(adata, reactome_key)
    require_key(reactome.conditions.columns, "drug", f".uns[{reactome_key!r}]['conditions']", "the column of drugs")
    known = _cells(reactome.conditions)
    predicted = _recorded(adata, predicted_key, PredictedReactomeKeys.uns, "predicted_key")
    suggested = _recorded(adata, suggested_key, ExperimentKeys.uns, "suggested_key")
    grid = _states(known, known[np.flatnonzero(np.isfinite(reactome.values).any(axis=0))], predicted, suggested)

    if ax is None:
        width, height = 0.22 * grid.shape[1] + 2, 0.3 * grid.shape[0] + 1.4
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.pcolormesh(grid.to_numpy(), cmap=ListedColormap(_COLORS), vmin=0, vmax=2, edgecolors="white", linewidth=1)
    present = np.unique(grid.to_numpy())
    handles: list[Any] = [Patch(color=_COLORS[state], label=_STATES[state]) for state in present]
    drugs, organs = list(grid.columns), list(grid.index)
    repeated = suggested.duplicated()  # the same cell may be suggested at several doses
    for place, (drug, organ) in enumerate(suggested):
        if repeated[place]:
            continue
        x, y = drugs.index(drug) + 0.5, organs.index(organ) + 0.5
        ax.text(x, y, str(place + 1), ha="center", va="center", fontsize="x-small", fontweight="bold")
    if len(suggested):
        handles.append(Line2D([], [], ls="", marker="$1$", color="black", label="suggested, in this order"))
    ax.set_xticks(np.arange(len(drugs)) + 0.5, drugs, rotation=90, fontsize="x-small")
    ax.set_yticks(np.arange(len(organs)) + 0.5, organs)
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    ax.legend(handles=handles, frameon=False, fontsize="small", ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _cells(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([table[name].astype(str) for name in ("drug", "organ")], names=["drug", "organ"])


def _recorded(adata: AnnData, key: str | None, default: str, argument: str) -> pd.MultiIndex:
    """Cells that a verb recorded under ``key``; without one, those of its default, if any."""
    if key is None and default not in adata.uns:
        return _cells(pd.DataFrame(columns=["drug", "organ"]))
    key = default if key is None else key
    require_key(adata.uns.keys(), key, ".uns", argument)
    return _cells(pd.DataFrame({name: np.asarray(adata.uns[key]["conditions"][name]) for name in ("drug", "organ")}))


def _states(
    listed: pd.MultiIndex, measured: pd.MultiIndex, predicted: pd.MultiIndex, suggested: pd.MultiIndex
) -> pd.DataFrame:
    """Organs × drugs, positions in ``_STATES``."""
    drugs = dict.fromkeys(sorted(listed.unique("drug")))
    drugs |= dict.fromkeys(sorted({*predicted.unique("drug"), *suggested.unique("drug")}))
    grid = pd.DataFrame(0, index=sorted(listed.unique("organ")), columns=list(drugs))
    for state, cells in ((1, predicted), (2, measured)):
        for drug, organ in cells:
            grid.loc[organ, drug] = state
    return grid
