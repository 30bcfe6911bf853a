"""Screens of drugs: simulated ones with real molecules, and L1000."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from anndata import AnnData

import scgx
from scgx.datasets import SimulatedDrugScreen

KEYS: dict[str, Any] = {
    "perturbation_key": "drug",
    "control": "control",
    "context_key": "cell_line",
    "dose_key": "dose",
    "smiles_key": "smiles",
    "design_keys": ("plate",),
}
L1000: dict[str, Any] = {
    "perturbation_key": "perturbation",
    "control": "control",
    "context_key": "cell_line",
    "dose_key": "dose_value",
    "smiles_key": "smiles",
}


@cache
def simulated(seed: int, *, quick: bool = False) -> SimulatedDrugScreen:
    """A screen of molecules that LINCS has: 200 drugs, 180 in bulk, 40 in cells, 20 in neither."""
    table = scgx.datasets.load("lincs_smiles")
    smiles = (table if hasattr(table, "columns") else next(iter(table.values())))["smiles"]
    sizes: dict[str, Any] = {"n_drugs": 60, "n_bulk_drugs": 140, "n_unseen": 20, "n_lines": 2, "n_genes": 200}
    if quick:
        sizes = {"n_drugs": 24, "n_bulk_drugs": 12, "n_unseen": 8, "n_lines": 2, "n_genes": 60, "n_mechanisms": 4}
        sizes |= {"novel_mechanisms": 1, "doses": (1.0, 10.0), "n_cells": 8}
    return scgx.datasets.simulate_drug_screen(**sizes, n_replicates=1, smiles=smiles, seed=seed)


def a375() -> tuple[AnnData, dict[str, Any]]:
    """59 kinase inhibitors × 6 doses in A375, one plate; drugs with a structure."""
    return with_structure(scgx.datasets.load("l1000_a375_ljp")), L1000


def ht115() -> tuple[AnnData, dict[str, Any]]:
    """349 drugs in HT115 on two plates; drugs with a structure, one for each name."""
    return with_structure(scgx.datasets.load("l1000_ht115_prnet")), L1000 | {"design_keys": ("plate",)}


def with_structure(adata: AnnData) -> AnnData:
    """Controls and the wells of drugs that have a SMILES; of several of one name the first."""
    obs = adata.obs
    names, smiles = obs["perturbation"].astype(str), obs["smiles"].astype(str).where(~obs["is_control"], "")
    first = smiles.groupby(names).transform("first")
    out = adata[np.asarray(obs["is_control"] | (smiles != ""))].copy()
    out.obs["smiles"] = first[out.obs_names].where(~out.obs["is_control"], "").to_numpy()
    return out
