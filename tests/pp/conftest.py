from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

Hold = Callable[[ad.AnnData], ad.AnnData]

FORMS = {
    "ndarray": np.asarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
}
HOLDERS = [*FORMS, "view", "backed-ndarray", "backed-csr", "backed-csc"]


def _hold(adata: ad.AnnData, kind: str, path: Path) -> ad.AnnData:
    adata = adata.copy()
    if kind == "view":
        twice = ad.concat([adata, adata], merge="same", index_unique="-")
        twice.obs_names = [*(f"{name}-other" for name in adata.obs_names), *adata.obs_names]
        return twice[adata.n_obs :]
    adata.X = FORMS[kind.removeprefix("backed-")](adata.X)
    if not kind.startswith("backed"):
        return adata
    adata.write_h5ad(path / "held.h5ad")
    return ad.read_h5ad(path / "held.h5ad", backed="r")


@pytest.fixture(params=HOLDERS)
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Hold:
    """Put the same data into each kind of AnnData."""
    return lambda adata: _hold(adata, request.param, tmp_path)
