from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest


class Paired(NamedTuple):
    X: np.ndarray
    Y: np.ndarray
    groups: np.ndarray


def _linear_data(n: int = 60, p: int = 20, m: int = 7, *, noise: float = 0.5, seed: int = 0) -> Paired:
    """Targets linear in the source with noise; two rows a group."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.linspace(2, 0.2, p) + rng.normal(size=p)
    Y = X @ rng.normal(size=(p, m)) / np.sqrt(p) + noise * rng.normal(size=(n, m)) + rng.normal(size=m)
    return Paired(X.astype(np.float32), Y.astype(np.float32), np.arange(n) // 2)


@pytest.fixture
def make_linear() -> Callable[..., Paired]:
    return _linear_data


@pytest.fixture
def linear() -> Paired:
    return _linear_data()


@pytest.fixture
def with_gaps() -> Callable[[np.ndarray, float], np.ndarray]:
    """Copy of an array with a share of its entries missing."""

    def punch(values: np.ndarray, share: float) -> np.ndarray:
        values = values.copy()
        values[np.random.default_rng(1).random(values.shape) < share] = np.nan
        return values

    return punch
