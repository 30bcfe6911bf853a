from __future__ import annotations

import os
import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from scgx._core import examples

from ._drug_columns import Table, as_text, find_column, in_micromolar, join_smiles, read_table, with_controls

_DRUGS = ["perturbation", "product_name"]
_DOSES = ["dose_value", "dose"]
_LINES = ["cell_line", "cell_type"]
_PLATES = ["plate", "culture_plate", "replicate"]
_MECHANISMS = ["pathway_level_1", "pathway", "target"]
_CONTROLS = re.compile(r"control|vehicle|dmso\b.*|dmso_.*", re.IGNORECASE)
_TARGET_SUM = 1e4


def read_sciplex(data: AnnData | str | os.PathLike[str], *, compounds: Table | None = None) -> AnnData:
    """Read a sci-Plex screen (sci-Plex3 as pertpy and scPerturb give it, or as deposited) as a drug screen.

    Parameters
    ----------
    data
        ``.h5ad`` file or AnnData, which stays as it is. Counts in ``.X`` are normalised to 10,000 a cell and log1p is
        taken; other values are kept. All of sci-Plex3 is 800,000 cells × 111,000 genes: pass a part of it, for example
        ``anndata.read_h5ad(path, backed="r")[rows].to_memory()``.
    compounds
        Table (or path to it: ``.csv``, otherwise tab-separated) with ``name`` or ``product_name``, and ``SMILES``,
        ``smiles`` or ``canonical_smiles``. Names match without regard to case and to a synonym in parentheses.

    Returns
    -------
    AnnData, cells × genes, with ``.var`` and the columns of ``.obs`` of the file, and

    - ``.X``: CSR float32; ``.layers["counts"]``: CSR float32, if the file has counts;
    - ``.obs``: ``drug`` (from ``perturbation`` or ``product_name``; ``"control"`` for vehicle, that is where ``vehicle``
      is true or the name is control, vehicle or DMSO), ``smiles`` (``""`` in controls and where none is known),
      ``dose`` (µM; from ``dose_value`` or ``dose`` in the unit of ``dose_unit``, nM where there is no such column; 0 in
      controls), ``cell_line`` (from ``cell_line`` or ``cell_type``), ``plate`` (from ``plate``, ``culture_plate`` or
      ``replicate``), ``is_control``, and ``mechanism`` (from ``pathway_level_1``, ``pathway`` or ``target``; left out
      if there is none; ``""`` in controls);
    - ``.uns["sciplex"]``: ``values``, ``controls`` (number of control cells), ``drugs_without_smiles``.

    Raises
    ------
    FileNotFoundError
        If a path is not a file.
    KeyError
        If a column is missing; the message has the nearest names.
    ValueError
        If a cell has no drug, a treated cell has no dose above zero in nM or µM, or there is no control cell.

    References
    ----------
    Srivatsan et al. (2020) Science 367:45; Peidli et al. (2024) Nat. Methods 21:531 (scPerturb).
    """
    adata = data.copy() if isinstance(data, AnnData) else _read_h5ad(data)
    obs = _obs(adata.obs, compounds)
    adata.obs = adata.obs.drop(columns=[name for name in obs if name in adata.obs]).join(obs)
    adata.X = sparse.csr_matrix(adata.X, dtype=np.float32)
    is_counts = not (adata.X.data % 1).any() and (adata.X.data >= 0).all()
    if is_counts:
        adata.layers["counts"] = adata.X.copy()
        sc.pp.normalize_total(adata, target_sum=_TARGET_SUM)
        sc.pp.log1p(adata)
    treated = ~obs["is_control"]
    adata.uns["sciplex"] = {
        "values": "log1p of counts normalised to 10,000 a cell" if is_counts else "as in the file",
        "controls": int(obs["is_control"].sum()),
        "drugs_without_smiles": sorted(set(obs.loc[treated & (obs["smiles"] == ""), "drug"])),
    }
    return adata


def _read_h5ad(path: str | os.PathLike[str]) -> AnnData:
    if not Path(path).is_file():
        raise FileNotFoundError(f"data={os.fspath(path)!r} is not a file; pass an .h5ad file or an AnnData")
    return ad.read_h5ad(path)


def _obs(cells: pd.DataFrame, compounds: Table | None) -> pd.DataFrame:
    drug_column = find_column(cells, _DRUGS, ".obs")
    name = as_text(cells[drug_column])
    is_control = name.str.fullmatch(_CONTROLS).to_numpy(dtype=bool)
    if "vehicle" in cells:
        is_control |= as_text(cells["vehicle"]).str.lower().isin(["true", "1", "1.0"]).to_numpy()
    unnamed = (name == "").to_numpy() & ~is_control
    if unnamed.any():
        raise ValueError(f"{unnamed.sum()} cells have no drug in .obs[{drug_column!r}]; leave them out first")
    if not is_control.any():
        raise ValueError(
            f".obs[{drug_column!r}] has no control: expected 'control', 'Vehicle' or 'DMSO', or true in .obs['vehicle']; "
            f"found {examples(pd.unique(name))}"
        )
    dose_column = find_column(cells, _DOSES, ".obs")
    unit = as_text(cells["dose_unit"]) if "dose_unit" in cells else pd.Series("nM", index=cells.index)
    obs = pd.DataFrame(
        {
            "drug": name,
            "smiles": "" if compounds is None else _smiles(name, compounds),
            "dose": in_micromolar(cells[dose_column].astype(str), unit),
            "cell_line": as_text(cells[find_column(cells, _LINES, ".obs")]),
            "plate": as_text(cells[find_column(cells, _PLATES, ".obs")]),
        }
    )
    mechanism = next((column for column in _MECHANISMS if column in cells), None)
    if mechanism is not None:
        obs["mechanism"] = as_text(cells[mechanism])
    bad = ~is_control & ~(obs["dose"] > 0).to_numpy()
    if bad.any():
        found = [f"{dose} {unit}" for dose, unit in zip(cells.loc[bad, dose_column], unit[bad], strict=True)]
        raise ValueError(
            f"{bad.sum()} treated cells have no usable dose in .obs[{dose_column!r}]: {examples(pd.unique(pd.Series(found)))}; "
            "expected more than zero in nM, µM or mM"
        )
    return with_controls(obs, is_control)


def _smiles(name: pd.Series, compounds: Table) -> np.ndarray:
    """SMILES by full name, else by the name without what stands in parentheses at its end."""
    table = read_table(compounds, "compounds")
    in_table = as_text(table[find_column(table, ["name", "product_name", "perturbation"], "compounds=")])
    full = join_smiles(name.str.casefold(), table.assign(key=in_table.str.casefold()), "key", "compounds=")
    short = join_smiles(_short(name), table.assign(key=_short(in_table)), "key", "compounds=")
    return np.where(full != "", full, short)


def _short(name: pd.Series) -> pd.Series:
    return name.str.casefold().str.replace(r"\s*\([^()]*\)$", "", regex=True)
