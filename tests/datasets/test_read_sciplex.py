from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgx import datasets
from scgx.datasets import read_sciplex

DRUGS = ["control", "Pracinostat", "Navitoclax", "control", "Ellagic acid", "Navitoclax"]
COMPOUNDS = pd.DataFrame(
    {"name": ["Pracinostat (SB939)", "NAVITOCLAX", "Unused"], "SMILES": ["CCCCc1nc2ccccc2n1CCN(CC)CC", "CCO", "C"]}
)


def scperturb() -> ad.AnnData:
    """Cells in the form of pertpy's ``srivatsan_2020_sciplex3``: 64-bit counts, doses in nM, NaN in controls."""
    counts = np.random.default_rng(0).poisson(1.0, (6, 8)).astype(np.int64)
    counts[:, 0] += 1
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(DRUGS),
            "dose_value": [np.nan, 10.0, 100.0, 0.0, 1000.0, 10000.0],
            "dose_unit": pd.Categorical(["nM"] * 6),
            "cell_line": pd.Categorical(["A549", "A549", "K562", "K562", "MCF7", "MCF7"]),
            "replicate": pd.Categorical(["rep1", "rep2"] * 3),
            "plate": pd.Categorical([f"plate{i}" for i in (1, 1, 2, 2, 3, 3)]),
            "pathway": ["Vehicle", "HDAC", "Bcl-2", "Vehicle", "Topo", "Bcl-2"],
            "pathway_level_1": ["Vehicle", "Epigenetic regulation", "Apoptotic", "Vehicle", "Other", "Apoptotic"],
            "time": 24.0,
        },
        index=[f"cell{i}" for i in range(6)],
    )
    var = pd.DataFrame({"ensembl_id": [f"ENSG{i:011d}" for i in range(8)]}, index=[f"GENE{i}" for i in range(8)])
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)


def deposited() -> ad.AnnData:
    """The same cells under the names of the deposit."""
    adata = scperturb()
    obs = adata.obs.rename(
        columns={
            "perturbation": "product_name",
            "dose_value": "dose",
            "cell_line": "cell_type",
            "plate": "culture_plate",
        }
    ).drop(columns="dose_unit")
    obs["vehicle"] = obs["product_name"] == "control"
    obs["product_name"] = obs["product_name"].astype(str).replace("control", "Vehicle")
    obs["dose"] = obs["dose"].fillna(0).astype(int).astype(str)
    adata.obs = obs
    return adata


@pytest.mark.parametrize("cells", [scperturb, deposited])
def test_columns_and_values(cells, tmp_path: Path) -> None:
    given = cells()
    given.write_h5ad(tmp_path / "sciplex3.h5ad")
    screen = read_sciplex(tmp_path / "sciplex3.h5ad", compounds=COMPOUNDS)
    obs = screen.obs
    assert obs["drug"].to_list() == DRUGS
    assert obs["is_control"].to_list() == [True, False, False, True, False, False]
    assert obs["dose"].to_list() == [0, 0.01, 0.1, 0, 1, 10]  # µM
    assert obs["cell_line"].to_list() == ["A549", "A549", "K562", "K562", "MCF7", "MCF7"]
    assert obs["plate"].to_list() == [f"plate{i}" for i in (1, 1, 2, 2, 3, 3)]
    assert obs["smiles"].to_list() == ["", "CCCCc1nc2ccccc2n1CCN(CC)CC", "CCO", "", "", "CCO"]
    assert obs["mechanism"].to_list() == ["", "Epigenetic regulation", "Apoptotic", "", "Other", "Apoptotic"]
    assert obs["replicate"].to_list() == ["rep1", "rep2"] * 3
    assert screen.uns["sciplex"]["drugs_without_smiles"] == ["Ellagic acid"]
    assert screen.uns["sciplex"]["controls"] == 2

    counts = given.X.toarray()
    np.testing.assert_array_equal(screen.layers["counts"].toarray(), counts)
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(screen.X.toarray(), expected, rtol=1e-5)
    assert screen.X.format == "csr"
    assert screen.X.dtype == np.float32
    assert screen.var["ensembl_id"].equals(given.var["ensembl_id"])
    screen.write_h5ad(tmp_path / "screen.h5ad")


def test_an_object_stays_as_it_is() -> None:
    given = scperturb()
    before = given.copy()
    read_sciplex(given, compounds=COMPOUNDS)
    pd.testing.assert_frame_equal(given.obs, before.obs)
    assert (given.X != before.X).nnz == 0
    assert not given.layers


def test_values_that_are_no_counts_are_kept() -> None:
    given = scperturb()
    given.X = given.X.astype(np.float32).log1p()
    screen = read_sciplex(given)
    np.testing.assert_array_equal(screen.X.toarray(), given.X.toarray())
    assert "counts" not in screen.layers
    assert screen.uns["sciplex"]["values"] == "as in the file"


def test_a_unit_of_its_own() -> None:
    given = scperturb()
    given.obs["dose_unit"] = "µM"
    assert read_sciplex(given).obs["dose"].to_list() == [0, 10, 100, 0, 1000, 10000]


def test_missing_columns_are_named_with_their_neighbours() -> None:
    given = scperturb()
    given.obs = given.obs.rename(columns={"perturbation": "perturbations"})
    with pytest.raises(KeyError, match="'perturbation' is not in .obs; nearest: 'perturbations'"):
        read_sciplex(given)
    with pytest.raises(KeyError, match="'canonical_smiles' is not in compounds="):
        read_sciplex(scperturb(), compounds=COMPOUNDS[["name"]])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("perturbation", ["control", np.nan, "a", "b", "c", "d"], r"1 cells have no drug in .obs\['perturbation'\]"),
        ("perturbation", list("abcdef"), "has no control: expected 'control', 'Vehicle' or 'DMSO'"),
        ("dose_value", [0.0, 0.0, 1.0, 0.0, 1.0, np.nan], "2 treated cells have no usable dose .*'0.0 nM', 'nan nM'"),
        ("dose_unit", ["mg/ml"] * 6, "4 treated cells have no usable dose .*expected more than zero in nM, µM or mM"),
    ],
)
def test_cells_that_do_not_do(column: str, values: list, message: str) -> None:
    given = scperturb()
    given.obs[column] = values
    with pytest.raises(ValueError, match=message):
        read_sciplex(given)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a file; pass an .h5ad file or an AnnData"):
        read_sciplex(tmp_path / "nowhere.h5ad")


@pytest.mark.realdata
def test_real_drug_list_gives_every_drug_a_structure() -> None:
    """With names as scPerturb writes them, without the synonym in parentheses."""
    table = datasets.load("sciplex3_drugs")["sciplex3_drugs"]
    names = table["name"].str.replace(r"\s*\(.*\)$", "", regex=True).to_list()
    n = len(names) + 1
    obs = {"perturbation": ["control", *names], "dose_value": 10.0, "cell_line": "A549", "replicate": "rep1"}
    given = ad.AnnData(sparse.csr_matrix(np.ones((n, 3))), obs=pd.DataFrame(obs, index=[str(i) for i in range(n)]))
    screen = read_sciplex(given, compounds=table)
    assert screen.obs["smiles"].astype(str).to_list()[1:] == table["SMILES"].str.strip().to_list()
