from __future__ import annotations

from collections.abc import Callable

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


_FAMILIES = ["CCCCCCCC(=O)O", "c1ccc2ccccc2c1", "CN1CCC[C@H]1c1cccnc1", "OC1CCCCC1", "NS(=O)(=O)c1ccccc1"]


def _drug_reactome(kind: str = "chemistry", n_drugs: int = 30, seed: int = 0) -> tuple[ad.AnnData, np.ndarray]:
    """Reactome of `n_drugs` in three organs with the last ten cells missing, and the whole truth."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(f"drug{d}", o) for d in range(n_drugs) for o in ("liver", "kidney", "heart")], columns=["drug", "organ"]
    )
    drug, organ = pd.factorize(table["drug"])[0], pd.factorize(table["organ"])[0]
    table["smiles"] = [f"{'C' * (d // 5 % 6)}{_FAMILIES[d % 5]}" if d // 5 % 6 else _FAMILIES[d % 5] for d in drug]
    table["vehicle"] = np.where(drug % 2 == 0, "oil", "water")
    effect = {"chemistry": rng.normal(size=(5, 40))[drug % 5], "additive": rng.normal(size=(n_drugs, 40))[drug]}[kind]
    truth = effect + rng.normal(size=(3, 40))[organ] + 0.5 * rng.normal(size=(2, 40))[drug % 2]
    values = (truth + 0.3 * rng.normal(size=truth.shape)).astype(np.float32)
    values[-10:] = np.nan
    adata = ad.AnnData(np.zeros((2, 40), np.float32))
    adata.varm["reactome"] = values.T
    adata.uns["reactome"] = {"conditions": {name: table[name].to_numpy(str) for name in table}, "norm": "signed"}
    return adata, truth


@pytest.fixture
def make_reactome() -> Callable[..., tuple[ad.AnnData, np.ndarray]]:
    return _drug_reactome
