"""Predictions and latent vectors of :class:`scgx.model.DrugBERT`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from scgx._core import PerturbationKeys, by_rows, dense_rows, layer_or_x, match_genes, require_finite, require_key
from scgx._core.control_cells import ControlCells, read_controls
from scgx._core.perturbation_cells import log_doses, perturbation_table, set_means
from scgx._core.predicted_cells import asked_table, context_record, predicted_cells, prediction_record
from scgx._core.similarity import tanimoto
from scgx.model._drugbert_batches import numbers
from scgx.model._drugbert_interval import coverage_of_drugs, predicted_change, some_controls
from scgx.model._drugbert_setup import drug_bits
from scgx.selection import conformal_half_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scgx.model._drugbert import DrugBERT

_BLOCK_ROWS = 512


def predict_cells(
    model: DrugBERT, query: AnnData, conditions: pd.DataFrame | Sequence[str], interval: float
) -> AnnData:
    """Predicted cells and their record; see :meth:`scgx.model.DrugBERT.predict`."""
    width = conformal_half_width(model._residuals.to_numpy(), interval)
    columns = model._setup.columns
    controls = read_controls(query, columns, model.genes, model._usual, model._setup.layer)
    table = asked_table(conditions, columns, list(controls.rows))
    for context in table["context"].unique():
        require_key(model.module.network.config.lines, context, "the cell lines of the model", "context")
    dose = np.zeros(len(table)) if columns.dose is None else log_doses(table["dose"], columns.dose)
    bits = _asked_bits(model, table)
    read = {context: _read_cells(query, controls, context, model._usual) for context in set(table["context"])}
    change = _changes(model, read, table["context"], bits, dose)[:, controls.found]
    known = np.isin(table["label"].to_numpy(dtype=str), model._drugs.index.to_numpy(dtype=str))
    similarity = tanimoto(bits, model._drugs.to_numpy(dtype=np.float32)).max(axis=1)
    out = predicted_cells(query, controls, table, change, columns)
    out.uns[PerturbationKeys().uns] = {
        **prediction_record(query, controls, table, columns, model._setup.layer),
        **context_record(table, columns),
        "method": np.full(len(table), "drugbert"),
        "change": change,
        "mean_change": model._mean_change.loc[table["context"]].to_numpy(dtype=np.float32)[:, controls.found],
        "half_width": np.tile(width[controls.found], (len(table), 1)),
        "interval": interval,
        "coverage": coverage_of_drugs(model._residuals, interval),
        "n_held_out": len(model._residuals),
        "novel": np.where(known, "", table["label"].to_numpy(dtype=str)),
        "novelty": 1 - similarity,
        "novelty_unit": "1 - largest Tanimoto similarity",
    }
    return out


def _asked_bits(model: DrugBERT, table: pd.DataFrame) -> np.ndarray:
    """Fingerprints of the drugs asked for: of the SMILES given, else those the model has."""
    given = table["smiles"].map(lambda text: isinstance(text, str) and bool(text.strip())).to_numpy(dtype=bool)
    for label in table["label"][~given].unique():
        where = "the drugs of the model" + ("" if model._setup.columns.smiles is None else "; give its SMILES, or")
        require_key(model._drugs.index, label, where, "perturbation")
    bits = model._drugs.reindex(table["label"]).to_numpy(dtype=np.float32)
    if given.any():
        found = drug_bits(table["label"][given], table["smiles"][given], has_smiles=True)
        bits[given] = found.loc[table["label"][given]].to_numpy(dtype=np.float32)
    return bits


def _read_cells(query: AnnData, controls: ControlCells, context: str, usual: np.ndarray) -> np.ndarray:
    """Control cells that the network reads, cells × all of its genes; found by name: their order does not matter."""
    rows = controls.rows[context]
    by_name = rows[np.argsort(query.obs_names[rows].to_numpy(dtype=str), kind="stable")]
    chosen = some_controls(by_name)
    cells = np.tile(usual.astype(np.float32), (len(chosen), 1))
    cells[:, controls.found] = dense_rows(controls.values, chosen, controls.position)
    return cells


def _changes(
    model: DrugBERT, cells: dict[str, np.ndarray], context: pd.Series, bits: np.ndarray, log_dose: np.ndarray
) -> np.ndarray:
    """Changes of all genes, conditions × g, mean over the control cells of the context."""
    line = numbers(context, model.module.network.config.lines)
    return np.stack(
        [
            predicted_change(model.module, cells[one], bits[k], int(line[k]), float(log_dose[k]))
            for k, one in enumerate(context)
        ]
    )


def latent_vectors(model: DrugBERT, adata: AnnData) -> np.ndarray:
    """See :meth:`scgx.model.DrugBERT.get_latent_representation`."""
    table = perturbation_table(adata, model._setup.columns)
    match = match_genes(adata.var_names, pd.Index(model.genes), what="`adata.var_names`")
    values = by_rows(layer_or_x(adata, model._setup.layer))
    units, unit = np.unique(table["unit"].to_numpy(dtype=str), return_inverse=True)
    is_control = (table["label"] == "").to_numpy()
    controls = [np.flatnonzero(is_control & (unit == k)) for k in range(len(units))]
    for name, rows in zip(units, controls, strict=True):
        if not len(rows):
            raise ValueError(f"there are no controls for {name!r}; a latent vector is that of a change from controls.")
    mean = set_means(values, controls)[:, match.position].astype(np.float32)
    blocks = []
    for start in range(0, adata.n_obs, _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, adata.n_obs))
        block = dense_rows(values, rows, match.position)
        require_finite(block, "`adata`", rows=rows)
        blocks.append(_latent(model, mean[unit[rows]], block, match.found))
    return np.concatenate(blocks)


def _latent(model: DrugBERT, mean: np.ndarray, block: np.ndarray, found: np.ndarray) -> np.ndarray:
    control = np.tile(model._usual.astype(np.float32), (len(block), 1))
    change, hidden = np.zeros_like(control), np.ones(control.shape, dtype=bool)
    control[:, found], change[:, found], hidden[:, found] = mean, block - mean, False
    tensors: list[Tensor] = [torch.from_numpy(x).to(model.module.device) for x in (control, change, hidden)]
    with torch.no_grad():
        tokens: Tensor = model.module.network.encode(*tensors)
        return tokens[:, 0].cpu().numpy()
