"""Reactome prediction on rat DrugMatrix: drug × organ cells, and drugs, never measured.

    SCGX_DATA_DIR=… python benchmarks/species_reactome.py [--quick]

Conditions are signatures (+1 up, −1 down, 0 not among the top genes); a cell's signatures are averaged before it is
scored. ``cosine_centred`` is the cosine after removing the organ × vehicle × time mean from truth and prediction.
Differences carry a 95 % interval of a paired bootstrap over drugs. ``--quick``: 120 drugs, 300 genes, two folds.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

import scgx
from scgx._core.molecules import morgan_fingerprints
from scgx.estimators import ReactomeConditions
from scgx.selection import (
    REACTOMES,
    ReactomeOutOfFold,
    cross_validate_reactome,
    make_reactomes,
    paired_bootstrap,
    reactome_scores,
    stack_weights,
)

DATASET = "rat DrugMatrix"
PERMUTED = "gaussian_process, permuted chemistry"
SPLITS = {"cells": "held-out drug x organ cells", "drugs": "held-out drugs with SMILES"}
#: measured before this code was written: cosine, design-centred cosine
EXPECTED = [
    ("cells", "organ_mean", 0.345, np.nan),
    ("cells", "additive", 0.181, np.nan),
    ("cells", "nearest_drugs", 0.398, np.nan),
    ("cells", "low_rank", 0.369, np.nan),
    ("cells", "design_mean", 0.430, 0.0),
    ("cells", "gaussian_process", 0.449, 0.141),
    ("drugs", "design_mean", 0.425, 0.0),
    ("drugs", "gaussian_process", 0.437, 0.094),
    ("drugs", PERMUTED, np.nan, 0.002),
]


def smiles_by_name(names: Iterable[str]) -> list[str | None]:
    """SMILES of drugs, matched by name without punctuation and case; ``None`` where not found."""
    table = scgx.datasets.load("lincs_smiles")["name_smiles"]
    plain = [re.sub(r"[^a-z0-9]", "", str(name).lower()) for name in table["name"]]
    known = dict(reversed(list(zip(plain, table["smiles"], strict=True))))
    return [known.get(re.sub(r"[^a-z0-9]", "", str(name).lower())) for name in names]


def drugmatrix() -> ad.AnnData:
    """Signatures × genes, with ``.obs["smiles"]`` (``None`` where unknown)."""
    adata = scgx.datasets.load("drugmatrix_full")
    adata.obs["smiles"] = np.array(smiles_by_name(adata.obs["drug"]), dtype=object)
    return adata


def encoded(adata: ad.AnnData) -> tuple[ReactomeConditions, np.ndarray]:
    """Conditions as codes and fingerprints, and their values."""
    obs = adata.obs
    code = {name: pd.factorize(obs[name].astype(str))[0] for name in ("drug", "organ", "vehicle", "time")}
    smiles = obs["smiles"].dropna()
    unique = smiles.drop_duplicates()
    bits = dict(zip(unique, morgan_fingerprints(unique), strict=True))
    features = np.zeros((adata.n_obs, 2048), dtype=np.float32)
    known = obs["smiles"].notna().to_numpy()
    features[known] = np.stack([bits[text] for text in smiles])
    conditions = ReactomeConditions(
        code["drug"], code["organ"], np.column_stack([code["vehicle"], code["time"]]), features
    )
    return conditions, np.asarray(adata.X.toarray(), dtype=np.float32)


def permuted_chemistry(conditions: ReactomeConditions, seed: int) -> ReactomeConditions:
    """Fingerprints shuffled over the drugs that have one."""
    drugs, first = np.unique(conditions.drug[conditions.known_structure], return_index=True)
    rows = np.flatnonzero(conditions.known_structure)
    shuffled = np.random.default_rng(seed).permutation(rows[first])
    features = conditions.features.copy()
    features[rows] = conditions.features[shuffled[np.searchsorted(drugs, conditions.drug[rows])]]
    return replace(conditions, features=features)


def rows_of(
    split: str, conditions: ReactomeConditions, truth: np.ndarray, predictions: dict[str, np.ndarray], seed: int
) -> list[dict[str, Any]]:
    """Every metric of every method, and its difference to the design mean."""
    base = predictions["design_mean"]
    scores = {name: reactome_scores(conditions, truth, value, base) for name, value in predictions.items()}
    drug = scores["design_mean"]["drug"].to_numpy()
    one = np.ones(len(drug))
    rows = []
    for name, score in scores.items():
        common = {"job": "reactome", "dataset": DATASET, "split": SPLITS[split], "method": name}
        for metric in ("cosine", "cosine_centred", "mae"):
            value = score[metric].to_numpy(float)
            interval = paired_bootstrap(-value, 0 * value, one, groups=drug, seed=seed)
            rows.append(common | {"metric": metric, "value": value.mean(), "low": interval.low, "high": interval.high})
        for other in ("design_mean", PERMUTED):
            if name == other or other not in scores:
                continue
            for metric in ("cosine", "cosine_centred"):
                gain = paired_bootstrap(-score[metric], -scores[other][metric], one, groups=drug, seed=seed)
                rows.append(
                    common
                    | {
                        "metric": f"{metric} minus {other}",
                        "value": gain.difference,
                        "low": gain.low,
                        "high": gain.high,
                    }
                )
    return rows


def run(*, quick: bool, seed: int) -> pd.DataFrame:
    """Cross-validate every method on held-out cells and held-out drugs."""
    conditions, values = encoded(drugmatrix())
    if quick:
        drugs = np.random.default_rng(seed).permutation(np.unique(conditions.drug))[:120]
        keep = np.flatnonzero(np.isin(conditions.drug, drugs))
        conditions, values = conditions.take(keep), values[keep][:, :300]
    rows: list[dict[str, Any]] = []
    for split in SPLITS:
        options: dict[str, Any] = {"n_folds": 2 if quick else 5, "seed": seed, "progress": True}
        out = cross_validate_reactome(make_reactomes(list(REACTOMES), seed=seed), conditions, values, split, **options)
        predictions = dict(out.folds.predictions)
        predictions["stack"] = stack_weights(out.folds, values[out.rows])[1]
        if split == "drugs":
            predictions[PERMUTED] = permuted(conditions, values, seed, options).folds.predictions["gaussian_process"]
        rows += rows_of(split, conditions.take(out.rows), values[out.rows], predictions, seed)
    return pd.DataFrame(rows)


def permuted(
    conditions: ReactomeConditions, values: np.ndarray, seed: int, options: dict[str, Any]
) -> ReactomeOutOfFold:
    """The Gaussian process on chemistry that belongs to other drugs."""
    wrong = permuted_chemistry(conditions, seed)
    return cross_validate_reactome(make_reactomes(["gaussian_process"], seed=seed), wrong, values, "drugs", **options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with pd.option_context("display.max_rows", None, "display.width", 200):
        print(run(quick=arguments.quick, seed=arguments.seed).round(4).to_string(index=False))
