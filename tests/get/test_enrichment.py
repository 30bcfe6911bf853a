"""Enrichment needs no verb of its own: decoupler takes what `get.translated` returns."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgx

dc = pytest.importorskip("decoupler")
N_SETS, SIZE = 12, 20


@pytest.fixture(scope="module")
def study() -> tuple[ad.AnnData, ad.AnnData, pd.DataFrame, np.ndarray]:
    """Each row activates one of 12 gene sets; the panels share no gene, and sets are defined on the target's."""
    rng = np.random.default_rng(0)
    n, p, m = 180, 60, N_SETS * SIZE
    active = rng.integers(0, N_SETS, n)
    activity = np.eye(N_SETS)[active] * rng.uniform(0.5, 1.5, (n, 1))
    X = activity @ rng.normal(size=(N_SETS, p)) + 0.3 * rng.normal(size=(n, p))
    Y = activity.repeat(SIZE, axis=1) + 0.5 * rng.normal(size=(n, m))
    obs = pd.DataFrame(index=[f"row{i}" for i in range(n)])
    source = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"probe{i}" for i in range(p)]))
    genes = [f"gene{i}" for i in range(m)]
    target = ad.AnnData(Y.astype(np.float32), obs=obs, var=pd.DataFrame(index=genes))
    net = pd.DataFrame({"source": np.repeat([f"set{k}" for k in range(N_SETS)], SIZE), "target": genes})
    scgx.pp.add_target(source, target[:120].copy())
    scgx.tl.translate(source, method="ridge")
    return source, target, net, active


@pytest.mark.parametrize("method", ["ulm", "gsea"])
def test_translated_rows_are_enriched_like_their_measurement(
    study: tuple[ad.AnnData, ad.AnnData, pd.DataFrame, np.ndarray], method: str
) -> None:
    source, target, net, active = study
    unseen = slice(120, 180)
    translated, measured = scgx.get.translated(source)[unseen].copy(), target[unseen].copy()
    for panel in (translated, measured):
        getattr(dc.mt, method)(panel, net, verbose=False, **({"times": 100} if method == "gsea" else {}))
    found, expected = (panel.obsm[f"score_{method}"] for panel in (translated, measured))
    truth = np.array([f"set{k}" for k in active[unseen]])
    assert (expected.idxmax(axis=1) == truth).mean() > 0.9
    assert (found.idxmax(axis=1) == truth).mean() > 0.9
