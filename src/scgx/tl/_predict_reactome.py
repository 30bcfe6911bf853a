from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import PredictedReactomeKeys, output_object
from scgx.estimators import ReactomeConditions, tanimoto
from scgx.selection import (
    REACTOME_BASELINES,
    REACTOMES,
    ReactomeChoice,
    choose_reactome,
    fit_members,
    held_out_groups,
    make_reactomes,
)
from scgx.selection._reactome import HeldOut
from scgx.tl._reactome_conditions import (
    MeasuredReactome,
    encode,
    measured_reactome,
    require_conditions,
    storable_column,
)


def predict_reactome(
    adata: AnnData,
    *,
    conditions: pd.DataFrame,
    method: str | Sequence[str] = "auto",
    design_keys: str | Sequence[str] = (),
    smiles_key: str | None = "smiles",
    reactome_key: str = "reactome",
    interval: float = 0.9,
    key_added: str = "reactome_predicted",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Predict the responses of all genes in drug × organ cells never measured.

    Parameters
    ----------
    adata
        Genes with a reactome (:func:`scgx.pp.reactome`).
    conditions
        What to predict, one row a condition: ``"drug"``, ``"organ"``, the design columns and, optionally, the SMILES.
        Drugs may be new, organs and design values may not. A condition that was measured may be asked for; its
        prediction has then seen it.
    method
        A method, several, or ``"auto"`` for all: ``"design_mean"``, ``"organ_mean"``, ``"drug_mean"``, ``"additive"``,
        ``"nearest_drugs"``, ``"gaussian_process"``, ``"low_rank"``. Of several the best in cross-validation is taken,
        or their non-negative stack, once for drugs that were measured in some organ (cells held out) and once for new
        drugs (drugs held out).
    design_keys
        Columns of the reactome's conditions that say how a response was measured, coarse to fine, for example vehicle
        and time. Their mean is the baseline: a response may be that of the vehicle.
    smiles_key
        Column with SMILES (empty where unknown) of the reactome's conditions, of ``conditions``, or of both; where
        there is none nothing is known of a new drug.
    reactome_key
        The ``key_added`` of :func:`scgx.pp.reactome`.
    interval
        Probability that an interval holds.
    key_added
        Name of the result.
    seed
        Seed of folds.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets

    ``.varm["reactome_predicted"]``
        float32, genes × rows of ``conditions``, in the unit of the reactome; NaN for genes that some measured
        condition lacks. At least 0 for an L1 reactome.
    ``.uns["reactome_predicted"]``
        ``conditions``; for each of them ``method``, ``held_out`` (the validation that speaks for it), ``measured``
        (whether it was) and ``novelty`` (1 − Tanimoto similarity to the nearest measured drug; 0 for a measured drug,
        NaN without SMILES). For each validation, ``"cells"`` and ``"drugs"``, as far as the data allow it: ``scores``
        (``method`` and, mean over held-out cells, ``cosine``, ``cosine_centred``, ``mae``, ``squared_error`` of every
        candidate and baseline, ``"no_change"`` among them), ``weights`` of the chosen method, ``half_width`` of each gene's interval. ``interval``,
        ``design_keys``, ``seed``.

    Raises
    ------
    KeyError
        If there is no reactome, or a column is missing.
    TypeError
        If ``conditions`` is no DataFrame.
    ValueError
        If ``conditions`` is empty or names an unknown organ or design value, a SMILES is invalid, a method unknown, or
        there is too little to cross-validate.

    Notes
    -----
    ``cosine_centred`` removes the mean of organ × design from truth and prediction. Its error is in both, so it favours
    a method that shrinks that mean (``"organ_mean"``); compare it between methods built on the design mean
    (``"nearest_drugs"``, ``"gaussian_process"``, ``"low_rank"``), and read ``cosine`` for the rest.
    """
    design = [design_keys] if isinstance(design_keys, str) else list(design_keys)
    names = list(REACTOMES) if method == "auto" else [method] if isinstance(method, str) else list(method)
    candidates = make_reactomes(names, seed=seed)
    measured = measured_reactome(adata, reactome_key, design)
    asked = require_conditions(conditions, measured.table, design, "conditions")
    known, wanted, _ = encode([measured.table, asked, measured.listed], design, smiles_key)

    choices = _choices(candidates, known, measured.values, interval=interval, seed=seed)
    is_known = np.isin(wanted.drug, known.drug)
    held_out = _validations(is_known, choices)
    used = {name: choices[name] for name in np.unique(held_out)}
    members, mean = fit_members(list(used.values()), candidates, known, measured.values)
    predicted = np.empty((len(wanted), len(measured.genes)), dtype=np.float32)
    for name, choice in used.items():
        rows = np.flatnonzero(held_out == name)
        predicted[rows] = choice.predict(members, mean, wanted.take(rows))
    if measured.norm == "l1":
        predicted = np.maximum(predicted, 0)

    record = {
        "conditions": {str(name): storable_column(asked[name]) for name in asked},
        "method": np.array([choices[name].method for name in held_out]),
        "held_out": held_out,
        "measured": _was_measured(wanted, known),
        "novelty": _novelty(wanted, known),
        "scores": {name: _scores(choice.scores) for name, choice in choices.items()},
        "weights": {name: choice.weights for name, choice in choices.items()},
        "half_width": {name: _of_genes(choice.half_width, measured, adata.n_vars) for name, choice in choices.items()},
        "interval": interval,
        "design_keys": design,
        "seed": seed,
    }
    keys = PredictedReactomeKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    out.varm[keys.varm] = _of_genes(predicted.T, measured, adata.n_vars)
    out.uns[keys.uns] = record
    return out if copy else None


def _choices(
    candidates: dict[str, Any], known: ReactomeConditions, values: np.ndarray, *, interval: float, seed: int
) -> dict[str, ReactomeChoice]:
    """The best method for each validation that the data allow."""
    others = [name for name in REACTOME_BASELINES if name not in candidates]
    baselines = make_reactomes(others, seed=seed) if others else {}
    validations: tuple[HeldOut, ...] = ("cells", "drugs")
    possible = [name for name in validations if held_out_groups(known, name) >= 2]
    if not possible:
        raise ValueError(
            "the reactome has too little to cross-validate: needs two drugs (of known structure, where structures are "
            "known), or two cells of drugs measured in several organs; measure more"
        )
    return {
        name: choose_reactome(candidates, baselines, known, values, name, interval=interval, seed=seed, progress=True)
        for name in possible
    }


def _validations(is_known: np.ndarray, choices: dict[str, ReactomeChoice]) -> np.ndarray:
    """Which validation speaks for each condition; the other one where its own is not possible."""
    best = np.where(is_known, "cells", "drugs")
    return best if len(choices) == 2 else np.full(len(best), next(iter(choices)))


def _was_measured(wanted: ReactomeConditions, known: ReactomeConditions) -> np.ndarray:
    seen = {tuple(row) for row in np.column_stack([known.drug, known.organ, known.design]).tolist()}
    return np.array(
        [tuple(row) in seen for row in np.column_stack([wanted.drug, wanted.organ, wanted.design]).tolist()]
    )


def _novelty(wanted: ReactomeConditions, known: ReactomeConditions) -> np.ndarray:
    novelty = np.where(np.isin(wanted.drug, known.drug), 0.0, np.nan)
    new = np.flatnonzero(wanted.known_structure & np.isnan(novelty))
    old = np.flatnonzero(known.known_structure)
    if len(new) and len(old) and wanted.features is not None and known.features is not None:
        _, first = np.unique(known.drug[old], return_index=True)
        novelty[new] = 1 - tanimoto(wanted.features[new], known.features[old[first]]).max(axis=1)
    return novelty


def _scores(scores: pd.DataFrame) -> dict[str, np.ndarray]:
    return {"method": scores.index.to_numpy(str)} | {str(name): scores[name].to_numpy(float) for name in scores}


def _of_genes(values: np.ndarray, measured: MeasuredReactome, n_vars: int) -> np.ndarray:
    """Values of the genes modelled as values of all genes, NaN elsewhere."""
    whole = np.full((n_vars, *values.shape[1:]), np.nan, dtype=np.float32)
    whole[measured.genes] = values
    return whole
