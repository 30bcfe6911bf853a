import gzip
import hashlib
import re

import anndata as ad
import pandas as pd
import pooch
import pytest

from scgx import datasets
from scgx.datasets import _load


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """Empty places to look in: $SCGX_DATA_DIR and the cache."""
    data_dir, cache = tmp_path / "data", tmp_path / "cache"
    monkeypatch.setenv("SCGX_DATA_DIR", str(data_dir))
    monkeypatch.setattr(pooch, "os_cache", lambda project: cache)
    return data_dir, cache


@pytest.fixture
def register(monkeypatch):
    """Replace the registry by one data set "toy" whose files are the given ones."""

    def _register(folder, files):
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        entry = {"path": "group/toy", "description": "a toy", "licence": "CC0", "source": "here", "files": hashes}
        monkeypatch.setattr(_load, "read_registry", lambda: {"toy": entry})

    return _register


def test_registry_says_where_everything_comes_from():
    table = datasets.registry()
    assert table.index.is_unique and table["path"].is_unique
    assert (table["path"].str.split("/").str[-1] == table.index).all()
    for column in ("description", "licence", "source", "citation"):
        assert (table[column].str.len() > 2).all()
    assert table.loc[table["licence"].str.contains("BY-NC|non-profit"), "non_commercial"].all()
    assert table.loc["ccle_affy_rnaseq", "files"] == ("affy1000.h5ad", "rnaseq50.h5ad")


def test_unknown_name_gives_the_nearest():
    with pytest.raises(KeyError, match="name='nci60_4array' is not in .*'nci60_4arrays'"):
        datasets.load("nci60_4array")


def test_absent_data_say_what_they_are_and_how_to_place_them(roots):
    entry = datasets.registry().loc["drugmatrix_full"]
    with pytest.raises(FileNotFoundError) as error:
        datasets.load("drugmatrix_full")
    message = str(error.value)
    for part in (*entry[["description", "licence", "source"]], *map(str, roots), "drugmatrix_full.h5ad"):
        assert part in message
    assert "set SCGX_DATA_DIR" in message


def test_incomplete_folder_counts_as_absent(roots, register):
    register(roots[0] / "group/toy", {"a.csv": b"x\n1\n", "b.csv": b"x\n2\n"})
    (roots[0] / "group/toy/b.csv").unlink()
    with pytest.raises(FileNotFoundError, match="not complete"):
        datasets.load("toy")


def test_other_content_is_refused(roots, register):
    register(roots[0] / "group/toy", {"a.csv": b"x\n1\n"})
    (roots[0] / "group/toy/a.csv").write_bytes(b"x\n2\n")
    with pytest.raises(ValueError, match=re.escape(str(roots[0] / "group/toy/a.csv")) + " is not .* checksum"):
        datasets.load("toy")


def test_data_dir_goes_before_cache(roots, register, monkeypatch):
    content = b"x\n1\n"
    register(roots[1] / "group/toy", {"a.csv": content})
    assert _load.locate("toy") == roots[1] / "group/toy"
    register(roots[0] / "group/toy", {"a.csv": content})
    assert _load.locate("toy") == roots[0] / "group/toy"
    monkeypatch.delenv("SCGX_DATA_DIR")
    assert _load.locate("toy") == roots[1] / "group/toy"


def test_one_file_is_the_object_itself(roots, register):
    register(roots[0] / "group/toy", {"a.csv": b"x\n1\n"})
    pd.testing.assert_frame_equal(datasets.load("toy"), pd.DataFrame({"x": [1]}))


def test_several_files_are_keyed_by_stem(roots, register):
    files = {
        "pairs.tsv.gz": gzip.compress(b"human\tmouse\nA\ta\n"),
        "sets_v6.0.gmt.gz": gzip.compress(b"S 1\tnote\tA\tB\nS 2\t\tC\t\n"),
    }
    register(roots[0] / "group/toy", files)
    loaded = datasets.load("toy")
    assert list(loaded) == ["pairs", "sets_v6.0"]
    pd.testing.assert_frame_equal(loaded["pairs"], pd.DataFrame({"human": ["A"], "mouse": ["a"]}))
    expected = pd.DataFrame({"source": ["S 1", "S 1", "S 2"], "target": ["A", "B", "C"]})
    pd.testing.assert_frame_equal(loaded["sets_v6.0"], expected)


@pytest.mark.realdata
@pytest.mark.parametrize("name", datasets.registry().index)
def test_every_registered_set_loads(name):
    loaded, files = datasets.load(name), datasets.registry().loc[name, "files"]
    objects = loaded if isinstance(loaded, dict) else {files[0].split(".")[0]: loaded}
    assert len(objects) == len(files)
    for (stem, content), file in zip(objects.items(), files, strict=True):
        assert file.startswith(stem + ".")
        assert isinstance(content, ad.AnnData if file.endswith(".h5ad") else pd.DataFrame)
        assert min(content.shape) > 0
