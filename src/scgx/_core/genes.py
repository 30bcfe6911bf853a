"""Genes are aligned by name: their order and number differ between data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .errors import examples, require_unique


@dataclass(frozen=True)
class GeneMatch:
    """Which wanted genes are available, and where.

    ``X[:, match.position]`` holds the genes ``wanted[match.found]``.
    """

    found: np.ndarray
    """Indices into the wanted genes, increasing."""
    position: np.ndarray
    """Their positions among the available genes."""
    overlap: float
    """Share of the wanted genes that is available, 0 to 1."""


def match_genes(available: pd.Index, wanted: pd.Index, *, min_overlap: float = 0.5, what: str) -> GeneMatch:
    """Find genes by name.

    Parameters
    ----------
    available
        Gene names of the data at hand.
    wanted
        Gene names that are needed, for example those a model was trained on.
    min_overlap
        Smallest share of ``wanted`` that must be found.
    what
        How to call the data in messages, for example ``"adata.var_names"``.

    Returns
    -------
    The positions of the genes found and their share.

    Raises
    ------
    ValueError
        If either side has duplicate names or too few genes are found.
    """
    require_unique(available, what)
    require_unique(wanted, f"the genes wanted from {what}")
    position = available.get_indexer(wanted)
    found = np.flatnonzero(position >= 0)
    overlap = len(found) / len(wanted) if len(wanted) else 0.0
    if overlap < min_overlap or not len(found):
        raise ValueError(
            f"{what} has {len(found)} of {len(wanted)} genes that are needed ({overlap:.0%}), "
            f"at least {min_overlap:.0%} are required; found names like {examples(available, 3) or 'none'}, "
            f"needed names like {examples(wanted, 3) or 'none'}: "
            "bring both sides to the same identifiers (symbols, Ensembl, case, version suffix) in `.var_names`"
        )
    return GeneMatch(found=found, position=position[found], overlap=overlap)


def require_same_target(registered: np.ndarray, translated: np.ndarray, *, target_key: str, key: str) -> None:
    """Raise if the registered target is not the one that was translated: other genes, or another order.

    Parameters
    ----------
    registered, translated
        Gene names of the target registered now, and of the translation.
    target_key, key
        The ``key_added`` of :func:`scgx.pp.add_target` and of :func:`scgx.tl.translate`.

    Raises
    ------
    ValueError
        If the names differ.
    """
    if not np.array_equal(registered, translated):
        raise ValueError(
            f".obsm[{target_key!r}] has {len(registered)} genes, the translation under {key!r} {len(translated)}, or "
            "others: translate again after `scgx.pp.add_target`."
        )
