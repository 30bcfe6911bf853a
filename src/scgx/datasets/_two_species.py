"""Genes of two species: which sequence belongs to which, and which function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

_COPY_NOISE = 0.3  # of a loading's spread: two copies of a gene are alike, not equal


@dataclass(frozen=True)
class TwoSpecies:
    """Genes of query and reference in the order of their names."""

    names: dict[str, np.ndarray]
    """Gene names of each species; they tell nothing about partners."""
    roles: dict[str, np.ndarray]
    """Number of the function of each gene."""
    orthologs: pd.DataFrame
    """Pairs by sequence: ``query``, ``reference``, ``kind``."""
    functional_map: pd.DataFrame
    """Pairs by function: ``query``, ``reference``."""


def draw_genes(n_genes: int, diverged: float, one_to_many: float, rng: np.random.Generator) -> TwoSpecies:
    """Draw which query gene belongs to which reference gene by sequence and by function.

    Parameters
    ----------
    n_genes
        Genes of the query. The reference has as many and the second copies.
    diverged
        Fraction of genes whose function passed to the next of them.
    one_to_many
        Fraction of genes with two copies in the reference.
    rng
        Random generator.
    """
    order = rng.permutation(n_genes)
    n_diverged, n_double = round(diverged * n_genes), round(one_to_many * n_genes)
    n_diverged -= n_diverged == 1  # a gene alone has nobody to exchange functions with
    moved, doubled = order[:n_diverged], order[n_diverged : n_diverged + n_double]
    kind = np.full(n_genes, "one_to_one", dtype=object)
    kind[moved], kind[doubled] = "diverged", "one_to_many"

    query_role = np.arange(n_genes)
    query_role[moved] = np.roll(moved, 1)  # one cycle: nobody keeps its function
    reference_role = np.append(np.arange(n_genes), doubled)
    # names are shuffled, so that no order tells partners
    query_name = np.array([f"Q{i:05d}" for i in rng.permutation(n_genes)])
    reference_name = np.array([f"R{i:05d}" for i in rng.permutation(len(reference_role))])
    by_sequence = _pairs(np.arange(n_genes), reference_role, query_name, reference_name)
    kinds = dict(zip(query_name, kind, strict=True))
    sort = {"query": np.argsort(query_name), "reference": np.argsort(reference_name)}
    names, roles = (
        {"query": query_name, "reference": reference_name},
        {"query": query_role, "reference": reference_role},
    )
    return TwoSpecies(
        names={side: names[side][sort[side]] for side in names},
        roles={side: roles[side][sort[side]] for side in roles},
        orthologs=by_sequence.assign(kind=by_sequence["query"].map(kinds)),
        functional_map=_pairs(query_role, reference_role, query_name, reference_name),
    )


def _pairs(
    query: np.ndarray, reference: np.ndarray, query_name: np.ndarray, reference_name: np.ndarray
) -> pd.DataFrame:
    left = pd.DataFrame({"id": query, "query": query_name})
    right = pd.DataFrame({"id": reference, "reference": reference_name})
    pairs = left.merge(right, on="id").drop(columns="id")
    return pairs.sort_values(["query", "reference"], ignore_index=True)


def draw_loadings(roles: np.ndarray, of_role: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Loadings of a species' genes, pathways × genes: those of their function; copies of one gene differ a little."""
    loadings = of_role[:, roles]
    copied = pd.Series(roles).duplicated(keep=False).to_numpy()
    spread = _COPY_NOISE * loadings[:, copied].std(axis=0)
    loadings[:, copied] += spread * rng.standard_normal((len(of_role), int(copied.sum())))
    return loadings
