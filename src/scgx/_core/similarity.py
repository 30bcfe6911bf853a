"""Similarity of rows: of what is known of perturbations (fingerprints, gene sets, embeddings), and of profiles."""

from __future__ import annotations

import numpy as np


def tanimoto(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tanimoto similarity of non-negative features in its min–max form, rows of ``a`` × rows of ``b``; 0 / 0 is 0."""
    if (a.size and a.min() < 0) or (b.size and b.min() < 0):
        raise ValueError(
            "Tanimoto similarity needs features of at least 0, such as bits or counts; found negative ones."
        )
    total = a.sum(axis=1)[:, None] + b.sum(axis=1)
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        shared = a @ b.T
    else:
        shared = np.stack([np.minimum(row, b).sum(axis=1) for row in a])
    union = total - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of rows of ``a`` × rows of ``b``; 0 for a row of zeros."""
    unit_a, unit_b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300) for x in (a, b))
    return unit_a @ unit_b.T


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows less their mean, of length 1, so that dot products are Pearson correlations; 0 for a row without variation."""
    centred = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(length > 0, length, 1)


def squared_distances(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Squared Euclidean distances, rows of ``a`` × rows of ``b``; between the rows of ``a`` without ``b``."""
    from sklearn.metrics.pairwise import euclidean_distances

    return euclidean_distances(a, b, squared=True)
