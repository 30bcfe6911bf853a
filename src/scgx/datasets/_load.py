from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import pandas as pd
from anndata import AnnData

from scgx._core import require_key

from ._registry import read_registry


def load(name: str) -> AnnData | pd.DataFrame | dict[str, AnnData | pd.DataFrame]:
    """Read a registered real data set from disk.

    Nothing is downloaded: the folder is looked for below ``$SCGX_DATA_DIR``, then below ``pooch.os_cache("scgx")``,
    and every file is checked against its SHA-256.

    Parameters
    ----------
    name
        A name of :func:`registry`.

    Returns
    -------
    The object of a data set of one file; of several files a dict keyed by file stem. ``.h5ad`` gives an AnnData,
    ``.csv`` and ``.tsv`` a DataFrame, ``.gmt`` a DataFrame of gene sets with columns ``source`` (set) and ``target``
    (gene).

    Raises
    ------
    KeyError
        If ``name`` is not registered; the message has the nearest names.
    FileNotFoundError
        If the files are in neither place; the message says what they are, their licence, where they come from, and
        how to place them.
    ValueError
        If a file is not the registered one.
    """
    from pooch import file_hash

    folder = locate(name)
    contents = {}
    for file, sha256 in read_registry()[name]["files"].items():
        found = file_hash(folder / file, alg="sha256")
        if found != sha256:
            raise ValueError(
                f"{folder / file} is not the registered file of {name!r}: checksum SHA-256 is {found}, "
                f"expected {sha256}; fetch the file again from its source ({read_registry()[name]['source']})"
            )
        stem, reader = _reader(file)
        contents[stem] = reader(folder / file)
    return contents if len(contents) > 1 else next(iter(contents.values()))


def locate(name: str) -> Path:
    """Find the folder that holds all files of a registered data set."""
    from pooch import os_cache

    require_key(read_registry(), name, "scgx.datasets.registry()", "name")
    entry = read_registry()[name]
    cache = Path(os_cache("scgx"))
    roots = [Path(os.environ["SCGX_DATA_DIR"])] if os.environ.get("SCGX_DATA_DIR") else []
    folders = [root / entry["path"] for root in (*roots, cache)]
    for folder in folders:
        if all((folder / file).is_file() for file in entry["files"]):
            return folder
    raise FileNotFoundError(
        f"data set {name!r} is not complete in {' or '.join(map(str, folders))}.\n"
        f"What: {entry['description']}.\n"
        f"Licence: {entry['licence']}.\n"
        f"Source: {entry['source']}.\n"
        f"Place: {', '.join(entry['files'])} in {cache / entry['path']}, or set SCGX_DATA_DIR to the directory "
        f"that holds {entry['path']}."
    )


def _reader(file: str) -> tuple[str, Callable[[Path], AnnData | pd.DataFrame]]:
    for suffix, reader in _READERS.items():
        if file.endswith(suffix):
            return file.removesuffix(suffix), reader
    raise ValueError(f"the registry names {file!r}, expected one of the endings {', '.join(_READERS)}")


def _read_tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", low_memory=False)


def _read_gmt(path: Path) -> pd.DataFrame:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        fields = [line.rstrip("\n").split("\t") for line in lines]
    # a line holds the set's name, its description, its genes
    return pd.DataFrame(
        [(name, gene) for name, _, *genes in fields for gene in genes if gene], columns=["source", "target"]
    )


_READERS: dict[str, Callable[[Path], AnnData | pd.DataFrame]] = {
    ".h5ad": ad.read_h5ad,
    ".csv": pd.read_csv,
    ".csv.gz": pd.read_csv,
    ".tsv.gz": _read_tsv,
    ".gmt.gz": _read_gmt,
}
