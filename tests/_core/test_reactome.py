from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scgx import pp
from scgx._core import Reactome, registered_reactome, shared_conditions


def reactome_of(conditions: list[tuple], columns: tuple[str, ...] = ("drug", "organ")) -> Reactome:
    table = pd.DataFrame(conditions, columns=columns)
    return Reactome(np.zeros((2, len(table)), dtype=np.float32), table, None, {})


def test_conditions_are_shared_by_value() -> None:
    query = reactome_of([("a", "liver", 1), ("b", "liver", 3), ("b", "heart", 1)], ("drug", "organ", "time"))
    reference = reactome_of([("heart", "b", 1.0), ("liver", "a", 1.0), ("liver", "b", 1.0)], ("organ", "drug", "time"))
    of_query, of_reference = shared_conditions(query, reference)
    assert list(of_query) == [0, 2]
    assert list(of_reference) == [1, 0]


def test_a_column_of_one_side_is_left_out_if_conditions_stay_apart() -> None:
    with_time = reactome_of([("b", "liver", 1), ("a", "liver", 3)], ("drug", "organ", "time"))
    without = reactome_of([("a", "liver"), ("c", "liver")])
    assert [list(c) for c in shared_conditions(without, with_time)] == [[0], [1]]
    twice = reactome_of([("a", "liver", 1), ("a", "liver", 3)], ("drug", "organ", "time"))
    with pytest.raises(
        ValueError, match=r"the reference has several conditions of equal \['drug', 'organ'\].*design_keys"
    ):
        shared_conditions(without, twice)


def test_no_shared_condition() -> None:
    with pytest.raises(ValueError, match=r"no condition is in both.*\('a', 'liver'\).*\('A', 'liver'\).*spelling"):
        shared_conditions(reactome_of([("a", "liver")]), reactome_of([("A", "liver")]))


def test_what_was_registered_is_read_back_from_disk(tmp_path: Path) -> None:
    obs = pd.DataFrame({"compound": list("bab"), "tissue": ["x", "y", "y"], "zdose": [3, 1, 2], "batch": list("pqr")})
    adata = ad.AnnData(np.arange(6, dtype=np.float32).reshape(3, 2), obs=obs.set_index(pd.Index(["s1", "s2", "s3"])))
    pp.reactome(
        adata,
        drug_key="compound",
        organ_key="tissue",
        control=None,
        design_keys=["zdose", "batch"],
        input_scale="log_fc",
        key_added="own",
    )
    adata.write_h5ad(tmp_path / "own.h5ad")
    for held in (adata, ad.read_h5ad(tmp_path / "own.h5ad")):
        reactome = registered_reactome(held, "own")
        assert list(reactome.conditions) == ["drug", "organ", "batch", "zdose"]
        rows = list(reactome.conditions.itertuples(index=False, name=None))
        assert rows == [("a", "y", "q", 1), ("b", "x", "p", 3), ("b", "y", "r", 2)]
        np.testing.assert_array_equal(reactome.values, adata.X[[1, 0, 2]].T)
        assert reactome.reliability is not None
        assert np.isnan(reactome.reliability).all()
        assert reactome.record["norm"] == "signed"


def test_without_a_reactome() -> None:
    adata = ad.AnnData(np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(KeyError, match=r"no reactome under 'reactome'.*scgx\.pp\.reactome"):
        registered_reactome(adata)
    adata.varm["reactome"] = np.zeros((3, 2))
    adata.uns["reactome"] = {"conditions": {"drug": ["a"], "organ": ["b"]}}
    with pytest.raises(ValueError, match=r"has 2 columns, .*conditions'\] 1"):
        registered_reactome(adata)
