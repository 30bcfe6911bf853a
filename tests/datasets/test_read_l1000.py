from __future__ import annotations

import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

from scgx import datasets
from scgx.datasets import read_l1000

GENES = pd.DataFrame(
    {
        "pr_gene_id": [5720, 55847, 7416, 10174],
        "pr_gene_symbol": ["PSME1", "CISD1", "VDAC1", "SORBS3"],
        "pr_is_lm": [1, 1, 1, 0],
    }
)
# as GSE92742_Broad_LINCS_inst_info.txt has it
WELLS = pd.DataFrame(
    {
        "inst_id": [f"CPC006_A375_6H_X1_B3:{well}" for well in ("A03", "B07", "B08", "C01", "C02", "C03")],
        "rna_plate": "CPC006_A375_6H_X1",
        "pert_id": ["DMSO", "BRD-K56343971", "BRD-K56343971", "BRD-A19037878", "CMAP-HSF-IL6", "TRCN0000001"],
        "pert_iname": ["DMSO", "vemurafenib", "vemurafenib", "-666", "IL6", "TP53"],
        "pert_type": ["ctl_vehicle", "trt_cp", "trt_cp", "trt_cp", "trt_lig", "trt_sh"],
        "pert_dose": [-666.0, 10.0, 333.0, 2.0, 100.0, 1.5],
        "pert_dose_unit": ["-666", "um", "nM", "mM", "ng/ml", "µL"],
        "pert_time": 6,
        "pert_time_unit": "h",
        "cell_id": "A375",
    }
)
COMPOUNDS = pd.DataFrame(
    {
        "pert_id": ["BRD-K56343971-001-01-1", "BRD-A19037878", "BRD-A19037878"],
        "canonical_smiles": ["CCCS(=O)(=O)Nc1ccc(F)cc1", "restricted", "CCO"],
    }
)
VALUES = np.random.default_rng(0).normal(8, 2, (6, 4)).astype(np.float32)  # wells × genes


def write_gctx(
    path: Path, values: np.ndarray = VALUES, wells: pd.DataFrame = WELLS[["inst_id"]], genes: pd.DataFrame = GENES
) -> Path:
    """Write as cmapPy does: bytes, wells × genes in the order of C, genes × wells in that of MATLAB."""
    with h5py.File(path, "w") as file:
        file.attrs["version"] = "GCTX1.0"
        file.create_dataset("0/DATA/0/matrix", data=values)
        for group, table, index in (("ROW", genes[["pr_gene_id"]], "pr_gene_id"), ("COL", wells, "inst_id")):
            for name in table:
                column = table[name]
                text = not pd.api.types.is_float_dtype(column)
                file[f"0/META/{group}/{'id' if name == index else name}"] = (
                    np.array([str(value).encode() for value in column]) if text else column.to_numpy()
                )
    return path


def write_gct(path: Path, wells: pd.DataFrame = WELLS) -> Path:
    about_genes = GENES.drop(columns="pr_gene_id")
    about_wells = wells.set_index("inst_id").T
    header = ["id", *about_genes, *about_wells.columns]
    above = [
        [name, *["na"] * about_genes.shape[1], *row]
        for name, row in zip(about_wells.index, about_wells.to_numpy(), strict=True)
    ]
    below = [
        [GENES["pr_gene_id"][g], *about_genes.iloc[g], *(repr(float(value)) for value in VALUES[:, g])]
        for g in range(4)
    ]
    sizes = [4, 6, about_genes.shape[1], len(about_wells)]
    lines = [["#1.3"], sizes, header, *above, *below]
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def gctx(tmp_path: Path) -> Path:
    return write_gctx(tmp_path / "level3.gctx")


def check_screen(screen: ad.AnnData) -> None:
    np.testing.assert_array_equal(screen.X, VALUES)
    assert screen.var_names.to_list() == ["PSME1", "CISD1", "VDAC1", "SORBS3"]
    assert screen.var["gene_id"].to_list() == ["5720", "55847", "7416", "10174"]
    obs = screen.obs
    assert obs.index.to_list() == WELLS["inst_id"].to_list()
    assert obs["drug"].to_list() == ["control", "vemurafenib", "vemurafenib", "BRD-A19037878", "IL6", "TP53"]
    np.testing.assert_array_equal(obs["dose"], [0, 10, 0.333, 2000, np.nan, np.nan])
    assert obs["is_control"].to_list() == [True, False, False, False, False, False]
    assert obs["pert_type"].to_list() == WELLS["pert_type"].to_list()
    assert set(obs["cell_line"]) == {"A375"}
    assert set(obs["plate"]) == {"CPC006_A375_6H_X1"}
    assert set(obs["time_h"]) == {6.0}
    assert screen.uns["l1000"]["controls"] == 1


def test_gctx_with_its_tables(gctx: Path, tmp_path: Path) -> None:
    screen = read_l1000(gctx, wells=WELLS, genes=GENES, compounds=COMPOUNDS)
    check_screen(screen)
    assert screen.obs["smiles"].to_list() == ["", *["CCCS(=O)(=O)Nc1ccc(F)cc1"] * 2, "CCO", "", ""]
    assert screen.uns["l1000"]["drugs_without_smiles"] == ["IL6", "TP53"]
    screen.write_h5ad(tmp_path / "screen.h5ad")
    assert ad.read_h5ad(tmp_path / "screen.h5ad").uns["l1000"]["level"] == 3


def test_tables_as_files(gctx: Path, tmp_path: Path) -> None:
    WELLS.to_csv(tmp_path / "inst_info.txt.gz", sep="\t", index=False)
    GENES.to_csv(tmp_path / "gene_info.txt", sep="\t", index=False)
    COMPOUNDS.to_csv(tmp_path / "compounds.csv.gz", index=False)
    paths = {"wells": "inst_info.txt.gz", "genes": "gene_info.txt", "compounds": "compounds.csv.gz"}
    from_files = read_l1000(gctx, **{name: tmp_path / file for name, file in paths.items()})
    from_tables = read_l1000(gctx, wells=WELLS, genes=GENES, compounds=COMPOUNDS)
    pd.testing.assert_frame_equal(from_files.obs, from_tables.obs)
    pd.testing.assert_frame_equal(from_files.to_df(), from_tables.to_df())


@pytest.mark.parametrize("ending", [".gct", ".gct.gz"])
def test_gct_that_says_all_itself(tmp_path: Path, ending: str) -> None:
    screen = read_l1000(write_gct(tmp_path / f"level3{ending}"), compounds=COMPOUNDS)
    check_screen(screen)
    embedded = WELLS.assign(canonical_smiles=["-666", "CCO", "CCO", "restricted", "", "na"])
    screen = read_l1000(write_gct(tmp_path / f"smiles{ending}", embedded))
    assert screen.obs["smiles"].to_list() == ["", "CCO", "CCO", "", "", ""]


def test_gct_by_probe(tmp_path: Path) -> None:
    """Files of single plates have probes as identifiers and the gene beside them."""
    path = tmp_path / "plate.gct"
    path.write_text(
        "#1.3\n2\t1\t2\t4\nid\tpr_gene_id\tpr_gene_symbol\tP1:A03\npert_desc\tna\tna\tDMSO\n"
        "pert_type\tna\tna\tctl_vehicle\ncell_id\tna\tna\tA375\npert_idose\tna\tna\t-666\n"
        "200814_at\t5720\tPSME1\t9.5\n218597_s_at\t55847\tCISD1\t7\n"
    )
    screen = read_l1000(path)
    assert screen.var["gene_id"].to_dict() == {"PSME1": "5720", "CISD1": "55847"}
    assert screen.obs.iloc[0][["drug", "plate", "dose", "pert_id"]].to_list() == ["control", "P1", 0.0, "DMSO"]
    screen.write_h5ad(tmp_path / "screen.h5ad")


def test_gctx_that_says_all_itself(tmp_path: Path) -> None:
    screen = read_l1000(write_gctx(tmp_path / "full.gctx", wells=WELLS), genes=GENES)
    check_screen(screen)


def test_gct_of_version_1_2(tmp_path: Path) -> None:
    path = tmp_path / "old.gct"
    path.write_text("#1.2\n2\t2\nNAME\tDescription\tw1\tw2\n200814_at\tPSME1\t1\t2.5\n218597_s_at\tCISD1\t3\t\n")
    wells = WELLS.iloc[:2].assign(inst_id=["w2", "w1"])
    screen = read_l1000(path, wells=wells)
    np.testing.assert_array_equal(screen.X, [[1, 3], [2.5, np.nan]])
    assert screen.obs["drug"].to_list() == ["vemurafenib", "control"]
    assert screen.var_names.to_list() == ["200814_at", "218597_s_at"]


def test_filtered_tables_read_a_part_in_the_order_of_the_file(gctx: Path) -> None:
    wells = pd.concat([WELLS.iloc[[3, 0, 1]], WELLS.iloc[[2]].assign(inst_id="elsewhere")])
    screen = read_l1000(gctx, wells=wells, genes=GENES[GENES["pr_is_lm"] == 1].iloc[::-1])
    np.testing.assert_array_equal(screen.X, VALUES[[0, 1, 3], :3])
    assert screen.obs["drug"].to_list() == ["control", "vemurafenib", "BRD-A19037878"]
    assert screen.var_names.to_list() == ["PSME1", "CISD1", "VDAC1"]
    assert screen.uns["l1000"]["wells_not_in_file"] == 1


def test_signatures_of_level_5(tmp_path: Path) -> None:
    """Names of the releases of 2017 (GSE70138: no plain dose) and 2020 differ."""
    ids = ["LJP005_A375_24H:BRD-K56343971:10", "LJP005_A375_24H:BRD-A19037878:0.12"]
    old = pd.DataFrame(
        {
            "sig_id": ids,
            "pert_id": ["BRD-K56343971", "BRD-A19037878"],
            "pert_iname": ["vemurafenib", "trichostatin-a"],
            "pert_type": "trt_cp",
            "cell_id": "A375",
            "pert_idose": ["10.0 um", "120 nM"],
            "pert_itime": "24 h",
        }
    )
    new = old.rename(columns={"pert_iname": "cmap_name", "cell_id": "cell_iname"})
    new = new.drop(columns="pert_idose").assign(pert_dose=["10", "0.12"], pert_dose_unit="uM")
    path = write_gctx(tmp_path / "level5.gctx", VALUES[:2], pd.DataFrame({"inst_id": ids}))
    first, second = (read_l1000(path, level=5, wells=table, genes=GENES) for table in (old, new))
    pd.testing.assert_frame_equal(first.obs, second.obs)
    assert first.obs["dose"].to_list() == [10, 0.12]
    assert first.obs["time_h"].to_list() == [24, 24]
    assert set(first.obs["plate"]) == {"LJP005_A375_24H"}
    assert first.uns["l1000"]["controls"] == 0
    assert "z-scores" in first.uns["l1000"]["values"]


def test_missing_columns_are_named_with_their_neighbours(gctx: Path) -> None:
    with pytest.raises(KeyError, match=r"'pert_type' is not in what describes the wells .*nearest: 'pert_typ'"):
        read_l1000(gctx, wells=WELLS.rename(columns={"pert_type": "pert_typ"}))
    with pytest.raises(KeyError, match=r"'inst_id' is not in wells=; nearest: 'instid'"):
        read_l1000(gctx, wells=WELLS.rename(columns={"inst_id": "instid"}))
    with pytest.raises(KeyError, match=r"'canonical_smiles' is not in compounds="):
        read_l1000(gctx, wells=WELLS, compounds=COMPOUNDS[["pert_id"]])
    with pytest.raises(KeyError, match="'pert_type' is not in what describes the wells"):
        read_l1000(gctx)  # published files do not describe their wells


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("id\tw1\n", r"starts with .*, expected GCTX \(HDF5\), or GCT of '#1.2' or '#1.3'", id="version"),
        pytest.param(
            "#1.3\n2\t2\t0\t0\nid\tw1\tw2\ng1\t1\t2\n", "has 2 rows and 3 columns .* expected 3 and 3", id="size"
        ),
        pytest.param("#1.3\n1\t2\t0\t0\nid\tw1\tw2\ng1\t1\tx\n", "'x'; expected numbers right of", id="value"),
        pytest.param("#1.3\n1\t2\t0\t0\nid\tw1\tw1\ng1\t1\t2\n", "identifiers of wells must be unique", id="twice"),
    ],
)
def test_malformed_gct(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.gct"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_l1000(path)


def test_other_files(tmp_path: Path, gctx: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.gctx' is not a file"):
        read_l1000(tmp_path / "nowhere.gctx")
    with pytest.raises(FileNotFoundError, match="wells='nowhere.txt' is not a file; pass a path or a DataFrame"):
        read_l1000(gctx, wells="nowhere.txt")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["X"] = [1]
    with pytest.raises(ValueError, match="HDF5 but not GCTX: it lacks '0/DATA/0/matrix', .*; it has 'X'"):
        read_l1000(tmp_path / "other.h5")
    path = write_gctx(tmp_path / "turned.gctx", VALUES.T)
    with pytest.raises(ValueError, match=r"matrix of \(4, 6\), expected wells × genes \(6, 4\)"):
        read_l1000(path, wells=WELLS)
    with pytest.raises(ValueError, match="has none of the identifiers of wells=.*same release"):
        read_l1000(gctx, wells=WELLS.assign(inst_id=[f"x{i}" for i in range(6)]))
    with pytest.raises(ValueError, match="level=2, expected 3, 4 or 5"):
        read_l1000(gctx, level=2)


@pytest.mark.realdata
def test_real_wells_written_as_gctx_come_back(tmp_path: Path) -> None:
    """The registered plate has its SMILES by the same join, from the same table."""
    expected = datasets.load("l1000_a375_ljp")
    obs = expected.obs.astype({"perturbation": str})
    wells = pd.DataFrame(
        {
            "inst_id": expected.obs_names,
            "det_plate": obs["plate"].astype(str).to_numpy(),
            "pert_id": obs["pert_id"].astype(str).to_numpy(),
            "pert_iname": obs["perturbation"].to_numpy(),
            "pert_type": obs["pert_type"].astype(str).to_numpy(),
            "pert_dose": obs["dose_value"].to_numpy(),
            "pert_dose_unit": obs["dose_unit"].astype(str).to_numpy(),
            "pert_time": obs["time_h"].to_numpy(),
            "cell_id": obs["cell_line"].astype(str).to_numpy(),
        }
    )
    genes = pd.DataFrame({"pr_gene_id": expected.var["entrez_id"].astype(str), "pr_gene_symbol": expected.var_names})
    X = np.asarray(expected.X, dtype=np.float32)
    path = write_gctx(tmp_path / "a375.gctx", X, wells[["inst_id"]], genes)
    found = read_l1000(path, wells=wells, genes=genes, compounds=datasets.load("lincs_smiles")["brd_smiles"])
    np.testing.assert_array_equal(found.X, X)
    assert found.var_names.equals(pd.Index(expected.var_names.astype(str)))
    assert found.obs["drug"].astype(str).to_list() == obs["perturbation"].to_list()
    assert found.obs["is_control"].to_list() == obs["is_control"].to_list()
    np.testing.assert_allclose(found.obs["dose"], obs["dose_value"])
    assert found.obs["smiles"].astype(str).to_list() == obs["smiles"].astype(str).to_list()
