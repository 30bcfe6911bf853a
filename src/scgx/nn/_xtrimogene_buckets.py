from __future__ import annotations

import numpy as np

_BATCHES_TO_SORT = 64


def length_buckets(lengths: np.ndarray, batch_size: int, *, rng: np.random.Generator | None = None) -> list[np.ndarray]:
    """Rows in batches of similar length, so that little of a batch is padding.

    Parameters
    ----------
    lengths
        Tokens of each row.
    batch_size
        Rows of a batch; the last one of a stretch may have fewer.
    rng
        Draws what comes together: rows are shuffled, sorted within stretches of 64 batches, and the batches shuffled.
        ``None``: all rows are sorted.

    Returns
    -------
    Row numbers of each batch; every row once.
    """
    rows = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    stretch = len(rows) if rng is None else _BATCHES_TO_SORT * batch_size
    batches = []
    for start in range(0, len(rows), max(stretch, 1)):
        part = rows[start : start + stretch]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[at : at + batch_size] for at in range(0, len(part), batch_size)]
    return batches if rng is None else [batches[i] for i in rng.permutation(len(batches))]


def padding_share(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of all tokens computed that is padding, 0 to 1."""
    computed = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - sum(lengths[batch].sum() for batch in batches) / computed
