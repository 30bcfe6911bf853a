from __future__ import annotations

from collections.abc import Iterator

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import scgx

N = 40


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def adata() -> ad.AnnData:
    """Gene levels that all rows share, a compound's effect in pairs of rows, noise; the last 10 rows not measured."""
    rng = np.random.default_rng(0)
    truth = 3 * rng.normal(size=50) + rng.normal(size=(N // 2, 50)).repeat(2, axis=0)
    obs = pd.DataFrame({"compound": [f"c{i // 2}" for i in range(N)]}, index=[f"r{i}" for i in range(N)])
    source = ad.AnnData(truth.astype(np.float32), obs=obs)
    target = ad.AnnData((truth + 0.5 * rng.normal(size=truth.shape)).astype(np.float32), obs=obs)
    scgx.pp.add_target(source, target[:30].copy())
    scgx.tl.translate(source, method="same_gene", group_key="compound")
    return source
