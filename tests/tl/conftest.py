from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

N, P, M = 60, 30, 20


@pytest.fixture
def target() -> ad.AnnData:
    """48 of 60 rows of a panel that is a noisy linear image of the source; g0–g4 are shared."""
    rng = np.random.default_rng(1)
    X = _programs() @ rng.normal(size=(4, M)) + 0.3 * rng.normal(size=(N, M))
    names = [*(f"g{i}" for i in range(5)), *(f"t{i}" for i in range(M - 5))]
    obs = pd.DataFrame(index=[f"s{i}" for i in range(N)])
    return ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=names))[:48].copy()


@pytest.fixture
def source() -> ad.AnnData:
    rng = np.random.default_rng(2)
    X = _programs() @ rng.normal(size=(4, P)) + 0.3 * rng.normal(size=(N, P)) + 5
    X[X < 4] = 0  # sparse forms should have something to leave out
    obs = pd.DataFrame(
        {"compound": [f"c{i // 4}" for i in range(N)], "tissue": np.where(np.arange(N) % 3 == 0, "KI", "LI")},
        index=[f"s{i}" for i in range(N)],
    )
    return ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(P)]))


def _programs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 4))


@pytest.fixture
def paired(source: ad.AnnData, target: ad.AnnData) -> ad.AnnData:
    """Source with the target registered."""
    from scgx import pp

    pp.add_target(source, target)
    return source
