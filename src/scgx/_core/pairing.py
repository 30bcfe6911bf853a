"""Two modalities are paired when they hold the same cells in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import examples, require_key, require_unique

if TYPE_CHECKING:
    from mudata import MuData


def check_paired(mdata: MuData, source: str, target: str) -> None:
    """Raise unless row i is the same cell in both modalities.

    MuData takes modalities in any order without a word, and rows would be paired wrongly.

    Parameters
    ----------
    mdata
        The two modalities.
    source, target
        Their names in ``mdata.mod``.

    Raises
    ------
    KeyError
        If there is no such modality.
    ValueError
        If ``obs_names`` differ in content or in order, or have duplicates.
    """
    require_key(mdata.mod.keys(), source, ".mod", "source")
    require_key(mdata.mod.keys(), target, ".mod", "target")
    names = mdata.mod[source].obs_names
    other = mdata.mod[target].obs_names
    require_unique(names, f"obs_names of mod[{source!r}]")
    require_unique(other, f"obs_names of mod[{target!r}]")
    if names.equals(other):
        return
    if len(names) == len(other) and names.isin(other).all():
        row = int(np.argmax(np.asarray(names) != np.asarray(other)))
        raise ValueError(
            f"modalities {source!r} and {target!r} hold the same cells in another order "
            f"(row {row} is {names[row]!r} and {other[row]!r}); build the MuData with scgx.pp.pair"
        )
    lone = names.symmetric_difference(other)
    raise ValueError(
        f"modalities {source!r} ({len(names)} cells) and {target!r} ({len(other)} cells) do not hold the same cells: "
        f"{len(lone)} are in one only, for example {examples(lone, 3)}; build the MuData with scgx.pp.pair"
    )
