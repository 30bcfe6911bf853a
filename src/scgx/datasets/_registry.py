from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd


def registry() -> pd.DataFrame:
    """List the real data sets that :func:`load` knows.

    Returns
    -------
    One row a data set, its index the name. Columns: ``path`` (folder below ``$SCGX_DATA_DIR``), ``description``,
    ``licence``, ``non_commercial`` (the licence forbids commercial use), ``source`` (repository or package and
    commit), ``citation``, ``files`` (tuple of file names).

    Examples
    --------
    >>> import scgx
    >>> scgx.datasets.registry().loc["nci60_4arrays", "licence"]
    'GPL-2 (omicade4); data NCI CellMiner'
    """
    return pd.DataFrame.from_dict(
        {name: {**entry, "files": tuple(entry["files"])} for name, entry in read_registry().items()}, orient="index"
    ).rename_axis("name")


@cache
def read_registry() -> dict[str, dict[str, Any]]:
    """Entries by name; ``files`` maps each file name to its SHA-256."""
    return json.loads(files(__package__).joinpath("registry.json").read_text(encoding="utf-8"))
