from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scgx


@pytest.fixture
def linked() -> Callable[..., AnnData]:
    """Make an AnnData with a registered target from two matrices; the first ``n_shared`` genes are the same."""

    def make(X: np.ndarray, Y: np.ndarray, *, n_shared: int = 4, **obs: np.ndarray) -> AnnData:
        rows = pd.DataFrame(obs, index=[f"row{i}" for i in range(len(X))])
        source = AnnData(X.astype(np.float32), obs=rows)
        source.var_names = [f"g{j}" if j < n_shared else f"source{j}" for j in range(X.shape[1])]
        target = AnnData(Y.astype(np.float32), obs=rows[[]])
        target.var_names = [f"g{j}" if j < n_shared else f"target{j}" for j in range(Y.shape[1])]
        scgx.pp.add_target(source, target)
        return source

    return make


@pytest.fixture
def study(linked: Callable[..., AnnData]) -> AnnData:
    """A linear platform: 70 rows of 14 compounds in 2 tissues, 12 → 6 genes, 4 shared; gaps in the target."""
    rng = np.random.default_rng(0)
    compound = rng.permutation(np.repeat(np.arange(14), 5))
    X = rng.normal(size=(14, 12))[compound] + 0.7 * rng.normal(size=(70, 12))
    Y = 2 + 2 * X[:, :6] + X @ rng.normal(size=(12, 6)) / 3 + 0.3 * rng.normal(size=(70, 6))
    Y[rng.random(Y.shape) < 0.1] = np.nan
    tissue = np.array(["liver", "brain"])[rng.integers(0, 2, 70)]
    return linked(X, Y, compound=np.char.add("c", compound.astype(str)), tissue=tissue)
