from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from scgx._core import output_object


def test_in_place_is_the_object_itself_and_copy_is_not() -> None:
    adata = ad.AnnData(np.zeros((2, 2)))
    assert output_object(adata, copy=False) is adata
    output_object(adata, copy=True).X[:] = 1
    assert not adata.X.any()


def test_backed(tmp_path: Path) -> None:
    ad.AnnData(np.ones((3, 2))).write_h5ad(tmp_path / "x.h5ad")
    adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    copied = output_object(adata, copy=True)
    assert not copied.isbacked and np.all(copied.X == 1)
    assert output_object(adata[:2], copy=True).shape == (2, 2)
    with pytest.raises(ValueError, match=r"view of a backed AnnData .*to_memory"):
        output_object(adata[:2], copy=False)
