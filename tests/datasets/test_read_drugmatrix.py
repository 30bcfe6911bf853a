import gzip

import numpy as np
import pandas as pd
import pytest

from scgx import datasets
from scgx.datasets import _read_drugmatrix as module
from scgx.datasets._load import locate

HEADER = 'probe,PIRACETAM-3d-2500mg/kg,"1,4-DICHLORO-1d-735mg/kg",INTERLEUKIN -.25d-.125ug/kg \n'


@pytest.fixture
def read(tmp_path):
    def _read(rows, header=HEADER):
        path = tmp_path / "table.csv"
        path.write_text(header + rows)
        return datasets.read_drugmatrix(path)

    return _read


def test_column_labels(read):
    obs = read("LI_RG230_Oas1_P000110,1,2,3\n")["RG230"].obs
    assert obs["compound"].to_list() == ["PIRACETAM", "1,4-DICHLORO", "INTERLEUKIN"]
    assert obs["duration_days"].to_list() == [3.0, 1.0, 0.25]
    assert obs["dose"].to_list() == [2500.0, 735.0, 0.125]
    assert obs["dose_unit"].to_list() == ["mg/kg", "mg/kg", "ug/kg"]
    assert obs["treatment"].to_list()[2] == "INTERLEUKIN -.25d-.125ug/kg"
    assert set(obs["tissue"]) == {"LI"}


def test_row_labels(read):
    rows = [
        "LI_RU1_RGD1565536_predicted_P014578,1,1,1",
        "LI_RU1_Cyp2d_v2_P000002,2,2,2",
        "LI_RU1__P008126 ,3,3,3",
        "AC096473.3_48407-LI,4,4,4",
        "RT1-A2_53715-LI,5,5,5",
    ]
    platforms = read("\n".join(rows))
    codelink, biospyder = platforms["RU1"].var, platforms["BioSpyder"].var
    assert codelink.index.to_list() == ["RGD1565536_predicted_P014578", "Cyp2d_v2_P000002", "_P008126"]
    assert codelink["gene_symbol"].to_list() == ["RGD1565536", "Cyp2d_v2", ""]
    assert codelink["probe_id"].to_list() == ["P014578", "P000002", "P008126"]
    assert biospyder["gene_symbol"].to_list() == ["AC096473.3", "RT1-A2"]
    assert biospyder["probe_id"].to_list() == ["48407", "53715"]


def test_gaps_stay_gaps_and_empty_rows_go(read):
    adata = read("LI_RG230_a_P1,0.5,,\nLI_RG230_b_P2,, ,-1\nLI_RG230_c_P3,,,\n")["RG230"]
    assert adata.obs["compound"].to_list() == ["PIRACETAM", "INTERLEUKIN"]
    np.testing.assert_array_equal(adata.X, np.float32([[0.5, np.nan, np.nan], [np.nan, -1, np.nan]]))
    assert adata.X.dtype == np.float32


def test_a_treatment_in_two_tissues_gives_two_rows(read):
    adata = read("LI_RG230_a_P1,1,2,\nKI_RG230_b_P2,,5,6\nKI_RG230_a_P1,,3,4\n")["RG230"]
    assert adata.obs_names.is_unique
    frame = adata.to_df().set_index([adata.obs["tissue"], adata.obs["compound"]])
    expected = pd.DataFrame(
        {"a_P1": [1, 2, 3, 4], "b_P2": [np.nan, np.nan, 5, 6]},
        index=[["LI", "LI", "KI", "KI"], ["PIRACETAM", "1,4-DICHLORO", "1,4-DICHLORO", "INTERLEUKIN"]],
    )
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False, check_names=False)


def test_pieces_do_not_matter(tmp_path, monkeypatch):
    """Compare with one pandas pivot over a random, shuffled, gzipped table."""
    rng = np.random.default_rng(0)
    labels = [f"{tissue}_RG230_g{i}_P{i}" for tissue in ("LI", "KI", "HE") for i in range(15)]
    treatments = [f"C-{i}-1d-{i}mg/kg" for i in range(6)]
    values = rng.normal(size=(45, 6)).round(2)
    values[rng.random(values.shape) < 0.7] = np.nan
    table = pd.DataFrame(values, index=rng.permutation(labels), columns=treatments)
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(table.to_csv().encode()))
    monkeypatch.setattr(module, "_CHUNK_ROWS", 4)
    adata = datasets.read_drugmatrix(path)["RG230"]

    long = table.stack().dropna().rename_axis(["label", "treatment"]).rename("value").reset_index()
    long["row"] = long["treatment"] + "-" + long["label"].str[:2]
    long["probe"] = long["label"].str.split("_", n=2).str[2]
    expected = long.pivot(index="row", columns="probe", values="value")
    found = adata.to_df().dropna(axis=1, how="all").loc[expected.index, expected.columns]
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert adata.n_obs == len(expected)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        pytest.param("Oas1,1,2,3\n", HEADER, "row labels of another form: 'Oas1'; expected TISSUE_PLATFORM", id="row"),
        pytest.param(",1,2,3\n", HEADER, "row labels of another form", id="empty-row-label"),
        pytest.param(
            "LI_RG230_a_P1,1,2\n", "p,A-1d-2mg/kg,B-16h-2mg/kg\n", "'B-16h-2mg/kg'; expected COMPOUND", id="column"
        ),
        pytest.param(
            "LI_RG230_a_P1,1,2\n", "p,A-1d-2mg/kg,A-1d-2mg/kg\n", "column labels .* more than once: 'A-1d", id="columns"
        ),
        pytest.param("LI_RG230_a_P1,1,2,3\n" * 2, HEADER, "tissue LI .* more than once: 'a_P1'", id="rows-twice"),
        pytest.param("LI_RG230_a_P1,1,high,3\n", HEADER, "'high'; expected in each row a label and 3", id="no-number"),
        pytest.param("LI_RG230_a_P1,1,2,3,4\n", HEADER, "more cells than the header", id="first-row-too-long"),
        pytest.param(
            "LI_RG230_a_P1,1,2,3\nLI_RG230_b_P2,1,2,3,4\n", HEADER, "line 3.*expected in each", id="row-too-long"
        ),
        pytest.param("", HEADER, "has a header but no rows", id="no-rows"),
    ],
)
def test_malformed_files(read, rows, header, message):
    with pytest.raises(ValueError, match=message):
        read(rows, header)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("platform", "stem"), [("RG230", "affy_rg230"), ("RU1", "codelink_ru1"), ("BioSpyder", "biospyder_wt")]
)
def test_real_file_agrees_with_its_prepared_tables(platform, stem):
    found = datasets.read_drugmatrix(locate("drugmatrix_mini") / "sciome_mini.csv")[platform]
    expected = datasets.load("drugmatrix_mini")[stem]
    np.testing.assert_array_equal(found.X, expected.X)
    assert found.obs["treatment"].to_list() == expected.obs_names.to_list()
    assert found.obs["compound"].to_list() == expected.obs["compound"].str.strip().to_list()
    assert found.obs["duration_days"].to_list() == expected.obs["duration_days"].to_list()
    assert found.var["gene_symbol"].to_list() == expected.var["gene_symbol"].to_list()
    assert found.var["probe_id"].to_list() == expected.var["probe_id"].to_list()
