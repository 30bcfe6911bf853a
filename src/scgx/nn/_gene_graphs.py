"""Graphs of genes and of perturbations, as arrays: what the network reads beside profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scgx._core.similarity import cosine, tanimoto

#: coordinates of a similarity whose eigenvalue is smaller than this share of the largest are rounding errors
_SMALLEST_EIGENVALUE = 1e-6


@dataclass(frozen=True)
class Graph:
    """Weighted directed edges.

    Attributes
    ----------
    edges
        Source and target of each, 2 × E, int64.
    weight
        E, float32, above 0.
    """

    edges: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class PerturbationNodes:
    """Perturbations that a network knows: those it was trained with first.

    Attributes
    ----------
    graph
        Edges between them; a perturbation that was not trained with has none that leave it.
    coordinates
        What is known of each beforehand, nodes × c, float32.
    similarity
        Largest similarity of each to one that was trained with (itself not counted), nodes; 0 where nothing is known.
    """

    graph: Graph
    coordinates: np.ndarray
    similarity: np.ndarray


def nearest_graph(similarity: np.ndarray, n_neighbors: int, *, least: float = 0.0) -> Graph:
    """Edges to each node from the nodes that are most like it.

    Parameters
    ----------
    similarity
        Of targets (t) to sources (s), t × s, −∞ where there must be no edge; target i is node i, and source j node j.
    n_neighbors
        Edges to a node, at most; ties go to the first.
    least
        An edge must be above it.
    """
    k = min(n_neighbors, similarity.shape[1])
    sources = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    targets = np.repeat(np.arange(len(similarity)), k)
    weight = np.take_along_axis(similarity, sources, axis=1).ravel()
    kept = weight > least
    edges = np.stack([sources.ravel()[kept], targets[kept]]).astype(np.int64)
    return Graph(edges, weight[kept].astype(np.float32))


def coexpression_graph(values: np.ndarray, n_neighbors: int, *, least: float = 0.4) -> Graph:
    """Edges to each gene from those with the largest absolute Pearson correlation; ``values`` are cells × genes.

    GEARS (Roohani et al. 2024) takes 20 neighbours above 0.4.
    """
    centred = values - values.mean(axis=0, dtype=np.float64)
    norm = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 1e-9 * max(float(norm.max()), 1e-300))
    correlation = np.abs(unit.T @ unit)
    np.fill_diagonal(correlation, -np.inf)
    return nearest_graph(correlation, n_neighbors, least=least)


def perturbation_nodes(trained: np.ndarray, further: np.ndarray, n_neighbors: int) -> PerturbationNodes:
    r"""Connect perturbations by what is known of them.

    The similarity is Tanimoto's for features of at least 0 (of gene sets: their overlap), otherwise the cosine. Edges come
    from the most similar of those trained with. Coordinates are :math:`K(x, X) V \Lambda^{-1/2}` of the eigenvectors and
    eigenvalues of :math:`K(X, X)`: those trained with have all of their similarities in them, and a further one that
    resembles none of them lies at 0.

    Parameters
    ----------
    trained, further
        Features of both (n × f, m × f), rows of 0 where nothing is known.
    n_neighbors
        Edges to a perturbation, at most.
    """
    features = np.vstack([trained, further]).astype(np.float64)
    known = features[: len(trained)]
    similarity = (tanimoto if features.size and features.min() >= 0 else cosine)(features, known)
    values, vectors = np.linalg.eigh(similarity[: len(trained)])
    kept = values > _SMALLEST_EIGENVALUE * max(float(values.max(initial=0)), 1e-300)
    others = similarity.copy()
    others[np.arange(len(trained)), np.arange(len(trained))] = -np.inf
    return PerturbationNodes(
        graph=nearest_graph(others, n_neighbors),
        coordinates=(similarity @ vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32),
        similarity=np.maximum(others.max(axis=1, initial=0), 0),
    )


def standardised(embedding: np.ndarray) -> np.ndarray:
    """Columns of a genes × d embedding with mean 0 and variance 1, float32; 0 for genes without one (NaN)."""
    values = np.asarray(embedding, dtype=np.float64)
    spread = np.nanstd(values, axis=0)
    scaled = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1)
    return np.nan_to_num(scaled).astype(np.float32)
