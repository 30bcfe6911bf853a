from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

_N_SET = 32


def name_bits(names: Iterable[str], n_bits: int) -> np.ndarray:
    """Bits that stand for a name where nothing else is known of a drug: 32 of them, drawn by the name, names × ``n_bits``.

    They say which drug it is and nothing of how drugs resemble each other.
    """
    rows = []
    for name in names:
        rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
        rows.append(np.isin(np.arange(n_bits), rng.choice(n_bits, min(_N_SET, n_bits), replace=False)))
    return np.array(rows, dtype=np.float32).reshape(len(rows), n_bits)
