from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import examples

_ROW_FORMS = (
    re.compile(r"(?P<tissue>[A-Z]{2})_(?P<platform>[A-Za-z0-9]+)_(?P<feature>(?P<gene>.*)_(?P<probe>[A-Za-z0-9.]+))"),
    re.compile(r"(?P<feature>(?P<gene>.*)_(?P<probe>[A-Za-z0-9.]+))-(?P<tissue>[A-Z]{2})"),
)
_ROW_EXPECTED = "TISSUE_PLATFORM_GENE_PROBE ('LI_RG230_Osgepl1_P020517') or GENE_PROBE-TISSUE ('Pick1_47651-LI')"
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_COLUMN_FORM = re.compile(rf"(?P<compound>.+)-(?P<duration>{_NUMBER})d-(?P<dose>{_NUMBER})(?P<unit>[^\d.].*)")
_COLUMN_EXPECTED = "COMPOUND-DURATION-DOSE ('PIRACETAM-3d-2500mg/kg', 'ACETAMINOPHE-.25d-486mg/kg')"
_CHUNK_ROWS = 2000


def read_drugmatrix(path: str | os.PathLike[str]) -> dict[str, AnnData]:
    """Read a DrugMatrix table of log10 ratios into one AnnData a platform.

    The file is a comma-separated matrix, probes × treatments. A row is labelled ``TISSUE_PLATFORM_GENE_PROBE`` (the
    gene may be empty or hold underscores) or, for BioSpyder, ``GENE_PROBE-TISSUE``; a column
    ``COMPOUND-DURATION-DOSE``, with the compound cut to 12 characters. Empty cells are gaps. The file is read in
    pieces and only what was measured is kept, so that memory is bounded by about twice the result.

    Parameters
    ----------
    path
        The file, compressed or not.

    Returns
    -------
    AnnData keyed by platform (``"RG230"``, ``"RU1"``, ``"BioSpyder"``), treatments × probes:

    - ``.X``: float32 log10 ratio treated/control, NaN for gaps;
    - ``.obs``: ``tissue`` (two letters), ``compound``, ``duration_days``, ``dose``, ``dose_unit``, ``treatment``
      (the column label). A treatment measured in two tissues gives two rows, one without any value none;
      ``.obs_names`` are ``TREATMENT-TISSUE``;
    - ``.var``: ``gene_symbol`` (``""`` where the file has none; without the suffix ``_predicted``, a status and no
      part of the symbol), ``probe_id``; ``.var_names`` are ``GENE_PROBE``.

    Raises
    ------
    ValueError
        If a label has another form or occurs twice, or a value is no number.

    References
    ----------
    Ganter et al. (2005) J. Biotechnol. 119:219; Cong et al. (2026) BMC Bioinformatics.
    """
    first_line = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, skipinitialspace=True)
    header = first_line.iloc[0].to_list()
    treatments = _parse_treatments(header[1:], f"{path}: column labels")
    platforms: dict[str, _Platform] = {}
    for labels, values in _chunks(path, header):
        rows = _match(labels, _ROW_FORMS, f"{path}: row labels", _ROW_EXPECTED).fillna({"platform": "BioSpyder"})
        for (platform, tissue), part in rows.groupby(["platform", "tissue"], sort=False):
            platforms.setdefault(str(platform), _Platform()).add(str(tissue), part, values[part.index])
    if not platforms:
        raise ValueError(f"{path} has a header but no rows; expected one row a probe and tissue")
    return {name: platform.to_anndata(treatments) for name, platform in platforms.items()}


def _parse_treatments(columns: list[str], what: str) -> pd.DataFrame:
    labels = [column.strip() for column in columns]
    _require_once(labels, what)
    parsed = _match(labels, (_COLUMN_FORM,), what, _COLUMN_EXPECTED)
    return pd.DataFrame(
        {
            "compound": parsed["compound"].str.strip(),
            "duration_days": parsed["duration"].astype(float),
            "dose": parsed["dose"].astype(float),
            "dose_unit": parsed["unit"],
            "treatment": labels,
        }
    )


def _match(labels: list[str], forms: tuple[re.Pattern[str], ...], what: str, expected: str) -> pd.DataFrame:
    matches = [next(filter(None, (form.fullmatch(label) for form in forms)), None) for label in labels]
    malformed = [label for label, match in zip(labels, matches, strict=True) if match is None]
    if malformed:
        raise ValueError(f"{what} of another form: {examples(malformed)}; expected {expected}")
    return pd.DataFrame([match.groupdict() for match in matches if match], columns=list(forms[0].groupindex))


def _require_once(labels: list[str], what: str) -> None:
    index = pd.Index(labels)
    if not index.is_unique:
        twice = index[index.duplicated()].unique()
        raise ValueError(f"{what} that occur more than once: {examples(twice)}; keep one of each or rename them")


def _chunks(path: str | os.PathLike[str], header: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield row labels and float32 values of some thousand rows at a time."""
    expected = f"expected in each row a label and {len(header) - 1} numbers or empty cells"
    dtype = {header[0]: str} | dict.fromkeys(header[1:], np.float32)
    with pd.read_csv(path, dtype=dtype, skipinitialspace=True, chunksize=_CHUNK_ROWS) as table:
        try:
            for chunk in table:
                if not isinstance(chunk.index, pd.RangeIndex):  # pandas takes surplus leading cells for an index
                    raise ValueError("rows have more cells than the header")
                labels = chunk.iloc[:, 0].astype(str).str.strip().to_list()
                yield labels, chunk.iloc[:, 1:].to_numpy(dtype=np.float32)
        except ValueError as error:  # pandas names the value or the line
            raise ValueError(f"{path}: {str(error).strip()}; {expected}") from error


@dataclass
class _Platform:
    """What was measured on one platform, in blocks of rows of one tissue."""

    features: dict[str, tuple[str, str]] = field(default_factory=dict)  # name: gene symbol, probe
    blocks: dict[str, list[_Block]] = field(default_factory=dict)  # by tissue

    def add(self, tissue: str, rows: pd.DataFrame, values: np.ndarray) -> None:
        names = rows["feature"].to_list()
        genes = rows["gene"].str.removesuffix("_predicted")
        self.features.update(zip(names, zip(genes, rows["probe"], strict=True), strict=True))
        measured = np.flatnonzero(~np.isnan(values).all(axis=0))
        self.blocks.setdefault(tissue, []).append(_Block(names, measured, values[:, measured]))

    def to_anndata(self, treatments: pd.DataFrame) -> AnnData:
        var = pd.DataFrame.from_dict(self.features, orient="index", columns=["gene_symbol", "probe_id"])
        measured = {t: np.unique(np.concatenate([b.treatments for b in blocks])) for t, blocks in self.blocks.items()}
        X = np.full((sum(map(len, measured.values())), len(var)), np.nan, dtype=np.float32)
        start = 0
        for tissue, blocks in self.blocks.items():
            _require_once([name for block in blocks for name in block.features], f"row labels of tissue {tissue}")
            for block in blocks:
                rows = start + np.searchsorted(measured[tissue], block.treatments)
                X[np.ix_(rows, var.index.get_indexer(pd.Index(block.features)))] = block.values.T
            start += len(measured[tissue])
        obs = pd.concat([treatments.iloc[rows].assign(tissue=tissue) for tissue, rows in measured.items()])
        obs.index = pd.Index(obs["treatment"] + "-" + obs["tissue"])
        return AnnData(X, obs=obs, var=var)


class _Block(NamedTuple):
    features: list[str]
    treatments: np.ndarray  # column numbers
    values: np.ndarray  # features x treatments
