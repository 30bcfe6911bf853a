"""The methods of :func:`scgx.tl.map_genes`, each with the profiles that it compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import Reactome, registered_reactome, shared_conditions
from scgx.estimators import LEVEL_WEIGHT, AnchoredCCA, CosineSimilarity, GeneMapper, GeneTransport, ProfileSimilarity

Method = Literal["auto", "reactome", "cca", "orthologs", "transport", "uge"]
METHODS = ("auto", "reactome", "cca", "orthologs", "transport", "uge")
#: with fewer anchors a fold of ``"auto"`` cannot learn from them
_FEWEST_ANCHORS = 20


class GeneEmbedder(Protocol):
    """A fitted :class:`scgx.model.UGE`, or anything that embeds the genes of both species in one space."""

    def get_gene_embeddings(self, names: pd.Index) -> np.ndarray:
        """Genes × dimensions, in the order of ``names``."""


@dataclass(frozen=True)
class Candidate:
    """One way to compare the genes, and what it compares."""

    make: Callable[[], GeneMapper]
    query: np.ndarray
    reference: np.ndarray


def gene_candidates(
    query: AnnData,
    reference: AnnData,
    method: Method,
    anchors: np.ndarray | None,
    model: GeneEmbedder | None,
    *,
    reactome_key: str,
    seed: int,
) -> tuple[dict[str, Candidate], int]:
    """Candidates by name, and the number of conditions that both reactomes have."""
    if method == "uge":
        return {"uge": _embedded(query, reference, model)}, 0
    here, there = registered_reactome(query, reactome_key), registered_reactome(reference, reactome_key)
    anchored = anchors is not None and (method != "auto" or len(anchors) >= _FEWEST_ANCHORS)
    try:
        columns = shared_conditions(here, there)
    except ValueError:
        if method == "reactome" or not anchored:  # methods with anchors compare what they have
            raise
        columns = (np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp))
    shared, n_shared = (here.values[:, columns[0]], there.values[:, columns[1]]), len(columns[0])
    # fold changes have no level worth comparing
    weight = 0.0 if "drug" in here.conditions else LEVEL_WEIGHT
    found: dict[str, Candidate] = {}
    if n_shared and method in ("auto", "reactome"):
        found["reactome"] = Candidate(
            partial(ProfileSimilarity, *_reliability(here, there), level_weight=weight, seed=seed), *shared
        )
    if method == "cca" or (method == "auto" and anchored):
        found["cca"] = Candidate(partial(AnchoredCCA, seed), here.values, there.values)
    if method == "transport" or (method == "auto" and anchored and find_spec("ot") is not None):
        profiles = (here.values, there.values) if anchored else shared
        found["transport"] = Candidate(partial(GeneTransport, level_weight=weight, seed=seed), *profiles)
    if method == "auto" and model is not None:
        found["uge"] = _embedded(query, reference, model)
    return found, n_shared


def _reliability(here: Reactome, there: Reactome) -> tuple[np.ndarray | None, np.ndarray | None]:
    both = [side.reliability for side in (here, there)]
    if any(side is None or not np.isfinite(side).any() for side in both):
        return None, None
    return both[0], both[1]


def _embedded(query: AnnData, reference: AnnData, model: GeneEmbedder | None) -> Candidate:
    if model is None:
        raise ValueError("method='uge' needs `model`, a fitted scgx.model.UGE that knows the genes of both species.")
    pair = [np.asarray(model.get_gene_embeddings(side.var_names), dtype=np.float32) for side in (query, reference)]
    for side, embedding, name in zip((query, reference), pair, ("query", "reference"), strict=True):
        if embedding.ndim != 2 or len(embedding) != side.n_vars or embedding.shape[1] != pair[0].shape[1]:
            raise ValueError(
                f"`model.get_gene_embeddings` gave shape {embedding.shape} for the {side.n_vars} genes of the {name}; "
                "expected genes × dimensions, the same dimensions for both species."
            )
    return Candidate(CosineSimilarity, *pair)
