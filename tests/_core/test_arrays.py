from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import sparse_dataset
from scipy import sparse

from scgx._core import by_rows, dense_rows, layer_or_x, require_finite

N_OBS, N_VARS = 2500, 7


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    # more rows than one chunk of a backed read
    return np.random.default_rng(0).poisson(0.7, (N_OBS, N_VARS)).astype(np.float64)


def _backed(form: Callable) -> Callable:
    def hold(X: np.ndarray, path: Path) -> Any:
        ad.AnnData(form(X)).write_h5ad(path / "x.h5ad")
        return ad.read_h5ad(path / "x.h5ad", backed="r").X

    return hold


def _backed_view(X: np.ndarray, path: Path) -> Any:
    ad.AnnData(np.vstack([X[::-1], X])).write_h5ad(path / "x.h5ad")
    return ad.read_h5ad(path / "x.h5ad", backed="r")[np.arange(len(X), 2 * len(X))].X


def _zarr_sparse(X: np.ndarray, path: Path) -> Any:
    group = zarr.open_group(path / "x.zarr", mode="w")
    ad.io.write_elem(group, "X", sparse.csr_matrix(X))
    return sparse_dataset(group["X"])


def _dask(X: np.ndarray, path: Path) -> Any:
    return pytest.importorskip("dask.array").from_array(sparse.csr_matrix(X), chunks=(100, N_VARS), asarray=False)


class _Lazy:
    """What dask shows of itself: indexing that waits, and compute()."""

    def __init__(self, X: Any) -> None:
        self.X, self.shape = X, X.shape

    def __getitem__(self, index: Any) -> _Lazy:
        return _Lazy(self.X[index])

    def compute(self) -> Any:
        return self.X


HOLDERS = [
    pytest.param(lambda X, path: X, id="ndarray"),
    pytest.param(lambda X, path: np.asfortranarray(X.astype(np.int64)), id="ndarray-int-F"),
    pytest.param(lambda X, path: np.ma.masked_less(X, 0), id="masked"),
    pytest.param(lambda X, path: sparse.csr_matrix(X), id="csr"),
    pytest.param(lambda X, path: sparse.csc_matrix(X), id="csc"),
    pytest.param(lambda X, path: sparse.csr_array(X.astype(np.int32)), id="csr_array"),
    pytest.param(lambda X, path: sparse.csc_array(X), id="csc_array"),
    pytest.param(lambda X, path: ad.AnnData(np.vstack([X, X]))[: len(X)].X, id="view"),
    pytest.param(lambda X, path: ad.AnnData(sparse.csr_matrix(np.vstack([X, X])))[: len(X)].X, id="csr-view"),
    pytest.param(_backed(np.asarray), id="h5ad-dense"),
    pytest.param(_backed(sparse.csr_matrix), id="h5ad-csr"),
    pytest.param(_backed(sparse.csc_matrix), id="h5ad-csc"),
    pytest.param(_backed_view, id="h5ad-view"),
    pytest.param(lambda X, path: zarr.array(X, chunks=(100, 3)), id="zarr-dense"),
    pytest.param(_zarr_sparse, id="zarr-csr"),
    pytest.param(lambda X, path: _Lazy(sparse.csr_matrix(X)), id="lazy"),
    pytest.param(_dask, id="dask"),
]


@pytest.mark.parametrize("hold", HOLDERS)
def test_dense_rows_reads_what_numpy_reads(hold: Callable, expected: np.ndarray, tmp_path: Path) -> None:
    X = hold(expected, tmp_path)
    selections = [
        None,
        slice(3, 9),
        slice(20, 2, -3),
        np.array([5, 2, 2, 2499, 0]),
        np.array([4]),
        np.arange(N_OBS)[::-1],
        np.arange(N_OBS) % 3 == 0,
        np.array([], dtype=int),
    ]
    for rows in selections:
        for columns in (None, np.array([6, 0, 0, 3]), np.arange(2, 5)):
            block = dense_rows(X, rows, columns)
            truth = expected if rows is None else expected[rows]
            np.testing.assert_array_equal(block, truth if columns is None else truth[:, columns])
            assert block.dtype == np.float32 and block.flags.c_contiguous and type(block) is np.ndarray
    np.testing.assert_array_equal(dense_rows(by_rows(X), np.array([9, 1])), expected[[9, 1]])


def test_dense_rows_makes_only_the_block_dense() -> None:
    # 2e5 × 1e6 float32 would take 800 GB
    X = sparse.csr_matrix(([3.0], ([150_000], [999_999])), shape=(200_000, 1_000_000))
    block = dense_rows(X, np.array([150_000, 1]), np.array([999_999, 5]))
    np.testing.assert_array_equal(block, [[3, 0], [0, 0]])


@pytest.mark.parametrize("rows", [None, slice(0, 2), np.array([0, 1])])
def test_dense_rows_shares_no_memory(rows: Any) -> None:
    X = np.zeros((3, 2), dtype=np.float32)
    dense_rows(X, rows)[:] = 1
    assert not X.any()


def test_dense_rows_fills_masked_with_nan() -> None:
    block = dense_rows(np.ma.masked_equal([[1, 2], [3, 4]], 3))
    np.testing.assert_array_equal(block, [[1, 2], [np.nan, 4]])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        pytest.param([[1.0]], "expected a matrix", id="list"),
        pytest.param(np.zeros(3), r"expected a matrix .* ndarray of shape \(3,\)", id="vector"),
        pytest.param(None, "found NoneType", id="none"),
        pytest.param(pd.DataFrame(np.eye(2)), "cannot read rows of DataFrame", id="frame"),
    ],
)
def test_dense_rows_refuses(X: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        dense_rows(X)


def test_dense_rows_out_of_range() -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        dense_rows(np.eye(3), np.array([0, 3]))


def test_require_finite_names_count_and_place() -> None:
    X = np.zeros((3, 4))
    X[1, 2], X[2, 0] = np.nan, -np.inf
    with pytest.raises(ValueError, match=r"target\.X has 2 NaN or infinite .*\(1, 2\)"):
        require_finite(X, "target.X")
    with pytest.raises(ValueError, match=r"has 1 infinite .*\(2, 0\)"):
        require_finite(X, "target.X", allow_nan=True)
    with pytest.raises(ValueError, match=r"\(30, 0\)"):
        require_finite(X, "target.X", allow_nan=True, rows=np.array([10, 20, 30]))
    require_finite(X[:2], "target.X", allow_nan=True)
    require_finite(np.empty((0, 4)), "target.X")


def test_layer_or_x() -> None:
    adata = ad.AnnData(np.ones((2, 2)), layers={"counts": np.zeros((2, 2))})
    assert layer_or_x(adata, None).all() and not layer_or_x(adata, "counts").any()
    with pytest.raises(KeyError, match=r"layer='Counts' is not in \.layers; nearest: 'counts'"):
        layer_or_x(adata, "Counts")
    adata.X = None
    with pytest.raises(ValueError, match=r"adata\.X is None; say layer=, one of \['counts'\]"):
        layer_or_x(adata, None)
