from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

from scgx._core import check_paired


def _modality(names: list[str], gene: str) -> ad.AnnData:
    obs, var = pd.DataFrame(index=names), pd.DataFrame(index=[gene])
    return ad.AnnData(np.zeros((len(names), 1)), obs=obs, var=var)


def _mdata(a: list[str], b: list[str]) -> mudata.MuData:
    return mudata.MuData({"rna": _modality(a, "g1"), "array": _modality(b, "g2")})


def test_equal_order_passes() -> None:
    check_paired(_mdata(["x", "y"], ["x", "y"]), "rna", "array")


@pytest.mark.parametrize(
    ("b", "message"),
    [
        pytest.param(["x", "z", "y"], r"another order \(row 1 is 'y' and 'z'\); .*scgx\.pp\.pair", id="reordered"),
        pytest.param(["x", "y"], r"\(3 cells\) and 'array' \(2 cells\) .* 1 are in one only, .*'z'", id="fewer"),
        pytest.param(["x", "y", "w"], r"2 are in one only, for example 'w', 'z'", id="others"),
        pytest.param(["x", "y", "y"], r"obs_names of mod\['array'\] must be unique", id="duplicates"),
    ],
)
@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_what_mudata_takes_silently_is_refused(b: list[str], message: str) -> None:
    mdata = _mdata(["x", "y", "z"], ["x", "y", "z"])
    mdata.mod["array"] = _modality(b, "g2")
    with pytest.raises(ValueError, match=message):
        check_paired(mdata, "rna", "array")


def test_reordered_survives_construction() -> None:
    mdata = _mdata(["x", "y"], ["y", "x"])
    with pytest.raises(ValueError, match="same cells in another order"):
        check_paired(mdata, "rna", "array")


def test_unknown_modality() -> None:
    with pytest.raises(KeyError, match=r"target='arrray' is not in \.mod; nearest: 'array'"):
        check_paired(_mdata(["x"], ["x"]), "rna", "arrray")
