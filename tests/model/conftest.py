from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

N_GENES, N_ORGANS, COPIES = 60, 5, 4


def make_species(seed: int = 0) -> tuple[dict[str, ad.AnnData], pd.DataFrame]:
    """Two species with the same organs: rat has other gene names, another order, levels of its own, two genes more."""
    rng = np.random.default_rng(seed)
    organ = rng.normal(size=(N_ORGANS, N_GENES))
    parts = {}
    for species in ("mouse", "rat"):
        level = rng.normal(6, 2, size=N_GENES)
        profile = organ + level + 0.3 * rng.normal(size=organ.shape)
        X = np.repeat(profile, COPIES, 0) + 0.3 * rng.normal(size=(N_ORGANS * COPIES, N_GENES))
        names = [f"{species}_{i}" for i in range(N_GENES)]
        obs = pd.DataFrame({"organ": np.repeat([f"organ{i}" for i in range(N_ORGANS)], COPIES), "age": X[:, 0] * 3})
        obs.index = [f"{species}{i}" for i in range(len(obs))]
        parts[species] = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=names))
    table = pd.DataFrame({"mouse": parts["mouse"].var_names, "rat": parts["rat"].var_names})
    parts["rat"] = parts["rat"][:, rng.permutation(N_GENES)].copy()
    return parts, table


@pytest.fixture(scope="session")
def species() -> tuple[dict[str, ad.AnnData], pd.DataFrame]:
    return make_species()
