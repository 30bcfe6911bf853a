from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import dense_rows, examples, require_unique

from ._drug_columns import Table, as_text, find_column, in_micromolar, join_smiles, read_table, with_controls

_NAMES = ["pert_iname", "cmap_name", "pert_desc"]
_LINES = ["cell_id", "cell_iname", "cell_mfc_name"]
_WELL_IDS = ["inst_id", "sample_id", "sig_id", "distil_id", "id"]
_GENE_IDS = ["pr_gene_id", "gene_id", "id"]
_SYMBOLS = ["pr_gene_symbol", "gene_symbol"]
_BRD = 13  # characters that name the compound; the rest is the batch
_VALUES = {
    3: "log2 expression, normalised within the plate",
    4: "z-scores of a well against the other wells of its plate",
    5: "z-scores of replicates taken together",
}


def read_l1000(
    path: str | os.PathLike[str],
    *,
    level: Literal[3, 4, 5] = 3,
    wells: Table | None = None,
    genes: Table | None = None,
    compounds: Table | None = None,
) -> AnnData:
    r"""Read L1000 profiles of LINCS (GCTX, or GCT text of version 1.2 or 1.3) as a drug screen.

    Published GCTX files hold identifiers and numbers; what was done to a well stands in a table of its own
    (``…inst_info.txt.gz``, ``instinfo_beta.txt``; for level 5 ``…sig_info``), and so do gene symbols (``…gene_info``)
    and structures (``…pert_info``, ``compoundinfo_beta.txt``). Only wells and genes that are in these tables are read,
    so a filtered table reads a part of a file of any size.

    Parameters
    ----------
    path
        ``.gctx``, ``.gct`` or ``.gct.gz``, genes × wells.
    level
        What the values are: 3, normalised log2 expression; 4, z-scores of wells; 5, z-scores of replicates taken
        together. Levels 4 and 5 are already relative to the plate: subtract no control from them.
    wells
        Table (or path to it: ``.csv``, otherwise tab-separated) with a row a well, its identifier in ``inst_id``,
        ``sample_id`` or ``sig_id``. ``None`` takes what the file says.
    genes
        Table with a row a gene: ``pr_gene_id`` or ``gene_id``, and ``pr_gene_symbol`` or ``gene_symbol``. ``None``
        takes what the file says.
    compounds
        Table with ``pert_id`` and ``canonical_smiles`` or ``smiles``. ``None`` takes what the wells say.

    Returns
    -------
    AnnData, wells × genes in the order of the file:

    - ``.X``: float32;
    - ``.obs``: ``drug`` (name, or ``pert_id`` where it has none; ``"control"`` where ``pert_type`` is
      ``"ctl_vehicle"``), ``smiles`` (``""`` in controls and where none is known), ``dose`` (µM; 0 in controls, NaN
      where the unit is no molarity), ``cell_line``, ``plate`` (``rna_plate`` or ``det_plate``, otherwise the identifier
      up to its colon), ``is_control``, ``pert_id``, ``pert_type``, ``time_h``;
    - ``.var``: by symbol, ``gene_id``; by identifier where no symbol is known;
    - ``.uns["l1000"]``: ``level``, ``values``, ``controls`` (number of control wells: signatures of level 5 mostly have
      none), ``drugs_without_smiles``, ``wells_not_in_file``.

    Raises
    ------
    FileNotFoundError
        If a path is not a file.
    KeyError
        If a table lacks a column; the message has the nearest names.
    ValueError
        If the file is of another form or version, its sizes are not those it states, nothing in it is in a table, or
        an identifier or symbol occurs twice.

    Notes
    -----
    Overexpression, knock-down and untreated wells are read too: choose by ``pert_type`` (compounds are ``trt_cp``).

    References
    ----------
    Subramanian et al. (2017) Cell 171:1437; Enache et al. (2019) Bioinformatics 35:1427 (GCTX).

    Examples
    --------
    >>> import pandas as pd, scgx
    >>> wells = pd.read_csv("GSE92742_Broad_LINCS_inst_info.txt.gz", sep="\t")  # doctest: +SKIP
    >>> screen = scgx.datasets.read_l1000(
    ...     "GSE92742_Broad_LINCS_Level3_INF_mlr12k_n1319138x12328.gctx",
    ...     wells=wells[(wells["cell_id"] == "A375") & wells["pert_type"].isin(["trt_cp", "ctl_vehicle"])],
    ...     genes="GSE92742_Broad_LINCS_gene_info_delta_landmark.txt.gz",
    ...     compounds="GSE92742_Broad_LINCS_pert_info.txt.gz",
    ... )  # doctest: +SKIP
    """
    if level not in _VALUES:
        raise ValueError(f"level={level!r}, expected 3, 4 or 5")
    if not Path(path).is_file():
        raise FileNotFoundError(f"path={os.fspath(path)!r} is not a file")
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            return _as_screen(_from_gctx(file, path), level, wells, genes, compounds, path)
    return _as_screen(_from_gct(path), level, wells, genes, compounds, path)


class _Content(NamedTuple):
    values: Any  # wells × genes
    wells: pd.DataFrame  # by identifier
    genes: pd.DataFrame  # by identifier


def _from_gctx(file: h5py.File, path: str | os.PathLike[str]) -> _Content:
    expected = ("0/DATA/0/matrix", "0/META/COL/id", "0/META/ROW/id")
    absent = [name for name in expected if name not in file]
    if absent:
        raise ValueError(f"{path} is HDF5 but not GCTX: it lacks {examples(absent)}; it has {examples(file)}")
    matrix = file["0/DATA/0/matrix"]
    wells, genes = _metadata(file["0/META/COL"]), _metadata(file["0/META/ROW"])
    if matrix.shape != (len(wells), len(genes)):
        raise ValueError(f"{path} has a matrix of {matrix.shape}, expected wells × genes {(len(wells), len(genes))}")
    return _Content(matrix, wells, genes)


def _metadata(group: h5py.Group) -> pd.DataFrame:
    def read(dataset: h5py.Dataset) -> np.ndarray:
        values = dataset.asstr(errors="replace")[:] if dataset.dtype.kind in "SO" else dataset[:].astype(str)
        return np.char.strip(values.astype(str))

    fields = {name: read(dataset) for name, dataset in group.items()}
    return pd.DataFrame(fields).set_index("id")


def _from_gct(path: str | os.PathLike[str]) -> _Content:
    opener = gzip.open if Path(path).suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as lines:
        version = lines.readline().strip()
        if version not in ("#1.2", "#1.3"):
            raise ValueError(f"{path} starts with {version[:30]!r}, expected GCTX (HDF5), or GCT of '#1.2' or '#1.3'")
        sizes = [int(size) for size in lines.readline().split()]
        table = pd.read_csv(lines, sep="\t", header=None, dtype=str, keep_default_na=False, na_values=["", "NA", "NaN"])
    n_genes, n_wells, n_about_genes, n_about_wells = sizes if version == "#1.3" else [*sizes, 1, 0]
    left, top = 1 + n_about_genes, 1 + n_about_wells
    if table.shape != (top + n_genes, left + n_wells):
        raise ValueError(
            f"{path} has {table.shape[0]} rows and {table.shape[1]} columns below its sizes {sizes}, "
            f"expected {top + n_genes} and {left + n_wells}"
        )
    well_ids, gene_ids = table.iloc[0, left:].to_numpy(dtype=str), table.iloc[top:, 0].to_numpy(dtype=str)
    try:
        values = table.iloc[top:, left:].to_numpy(dtype=np.float32).T
    except ValueError as error:
        raise ValueError(
            f"{path}: {error}; expected numbers right of and below what describes genes and wells"
        ) from error
    wells = pd.DataFrame(table.iloc[1:top, left:].to_numpy().T, index=well_ids, columns=table.iloc[1:top, 0].to_list())
    genes = pd.DataFrame(table.iloc[top:, 1:left].to_numpy(), index=gene_ids, columns=table.iloc[0, 1:left].to_list())
    return _Content(values, wells, genes)


def _as_screen(
    content: _Content,
    level: int,
    wells: Table | None,
    genes: Table | None,
    compounds: Table | None,
    path: str | os.PathLike[str],
) -> AnnData:
    wells = None if wells is None else read_table(wells, "wells")
    genes = None if genes is None else read_table(genes, "genes")
    about_wells, rows = _choose(content.wells, wells, _WELL_IDS, "wells", path)
    about_genes, columns = _choose(content.genes, genes, _GENE_IDS, "genes", path)
    obs = _obs(about_wells, compounds)
    gene_id = next((about_genes[name].astype(str) for name in _GENE_IDS if name in about_genes), about_genes.index)
    var = pd.DataFrame({"gene_id": np.asarray(gene_id)}, index=pd.Index(about_genes.index))
    symbol = next((name for name in _SYMBOLS if name in about_genes), None)
    if symbol is not None:
        var.index = pd.Index(about_genes[symbol].astype(str))
        require_unique(var.index, "gene symbols")
    adata = AnnData(dense_rows(content.values, rows, columns), obs=obs, var=var.rename_axis(None))
    treated = ~obs["is_control"]
    adata.uns["l1000"] = {
        "level": level,
        "values": _VALUES[level],
        "controls": int(obs["is_control"].sum()),
        "drugs_without_smiles": sorted(set(obs.loc[treated & (obs["smiles"] == ""), "drug"])),
        "wells_not_in_file": 0 if wells is None else len(wells) - len(obs),
    }
    return adata


def _choose(
    in_file: pd.DataFrame, known: pd.DataFrame | None, id_names: list[str], argument: str, path: str | os.PathLike[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """What is known of the chosen rows or columns, in the order of the file, and their positions."""
    require_unique(in_file.index, f"{path}: identifiers of {argument}")
    if known is None:
        return in_file, np.arange(len(in_file))
    known = known.set_index(known[find_column(known, id_names, f"{argument}=")].astype(str).str.strip())
    require_unique(known.index, f"identifiers of {argument}=")
    positions = np.flatnonzero(in_file.index.isin(known.index))
    if not len(positions):
        raise ValueError(
            f"{path} has none of the identifiers of {argument}=: it has {examples(in_file.index, 3)}, the table "
            f"{examples(known.index, 3)}; pass the table of the same release and level"
        )
    return known.loc[in_file.index[positions]], positions


def _obs(wells: pd.DataFrame, compounds: Table | None) -> pd.DataFrame:
    where = "what describes the wells (wells=)"
    pert_type = as_text(wells[find_column(wells, ["pert_type"], where)])
    name = as_text(wells[find_column(wells, _NAMES, where)])
    pert_id = as_text(wells["pert_id"]) if "pert_id" in wells else name
    identifier = wells.index.to_series()
    plate = next((wells[column] for column in ("rna_plate", "det_plate") if column in wells), None)
    obs = pd.DataFrame(
        {
            "drug": name.where(name != "", pert_id),
            "smiles": _smiles(wells, pert_id, compounds),
            "dose": _dose(wells),
            "cell_line": as_text(wells[find_column(wells, _LINES, where)]),
            "plate": as_text(plate) if plate is not None else identifier.str.split(":").str[0],
            "pert_id": pert_id,
            "pert_type": pert_type,
            "time_h": _time(wells),
        },
        index=pd.Index(wells.index),
    ).rename_axis(None)
    return with_controls(obs, (pert_type == "ctl_vehicle").to_numpy())


def _smiles(wells: pd.DataFrame, pert_id: pd.Series, compounds: Table | None) -> np.ndarray:
    if compounds is None:
        return as_text(wells["canonical_smiles"]).to_numpy() if "canonical_smiles" in wells else np.full(len(wells), "")
    table = read_table(compounds, "compounds")
    key = find_column(table, ["pert_id"], "compounds=")
    return join_smiles(pert_id.str[:_BRD], table.assign(**{key: table[key].str[:_BRD]}), key, "compounds=")


def _dose(wells: pd.DataFrame) -> np.ndarray:
    if "pert_dose" in wells and "pert_dose_unit" in wells:
        return in_micromolar(wells["pert_dose"], wells["pert_dose_unit"])
    text = as_text(wells[find_column(wells, ["pert_idose", "pert_dose"], "what describes the wells (wells=)")])
    parts = text.str.extract(r"^([\d.eE+-]+)\s*(\S+)$")  # "10 uM"
    return in_micromolar(parts[0], parts[1])


def _time(wells: pd.DataFrame) -> np.ndarray:
    """Hours, NaN where unknown; LINCS gives no other unit."""
    column = next((name for name in ("pert_time", "pert_itime") if name in wells), None)
    if column is None:
        return np.full(len(wells), np.nan)
    return pd.to_numeric(as_text(wells[column]).str.extract(r"^([\d.]+)")[0], errors="coerce").to_numpy(dtype=float)
