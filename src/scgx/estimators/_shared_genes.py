"""The same gene on two panels, several source probes a gene allowed."""

from __future__ import annotations

import numpy as np


def split_pairs(pairs: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Source columns and target columns of k × 2 pairs; ``None``: no pair."""
    columns = np.empty((0, 2), dtype=int) if pairs is None else np.asarray(pairs, dtype=int).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def average_probes(X: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean of the measured source probes of each shared target gene.

    Parameters
    ----------
    X
        Source values, n × p, NaN where not measured.
    source, target
        Paired columns (k each).

    Returns
    -------
    n × different values of ``target`` in ascending order, float32; NaN where no probe is measured.
    """
    shared = np.unique(target)
    total = np.zeros((len(X), len(shared)), dtype=np.float32)
    count = np.zeros_like(total)
    for probe, column in zip(source, np.searchsorted(shared, target), strict=True):
        measured = np.isfinite(X[:, probe])
        total[:, column] += np.where(measured, X[:, probe], 0)
        count[:, column] += measured
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
