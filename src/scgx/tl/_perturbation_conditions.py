"""Conditions that are asked for: checked, named, and turned into what responses take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scgx._core import require_key
from scgx._core.control_cells import ControlCells
from scgx._core.molecules import morgan_fingerprints
from scgx._core.perturbation_cells import PerturbationColumns, log_doses
from scgx.estimators import Conditions
from scgx.tl._perturbation_reference import Reference


def to_conditions(
    table: pd.DataFrame,
    columns: PerturbationColumns,
    reference: Reference,
    controls: ControlCells,
    features: pd.DataFrame | None,
) -> Conditions:
    """What responses take, with the control profile of the query's context.

    Raises
    ------
    KeyError
        If a perturbation was never measured and nothing else is known of it; the message has the nearest names.
    ValueError
        If a dose is not positive, a SMILES cannot be read, or is not that of the reference's perturbation of this name.
    """
    names = tuple(table["names"])
    _require_known(names, table["smiles"], reference, features, has_smiles=columns.smiles is not None)
    described = None
    if features is not None:
        described = np.stack([features.loc[list(one)].to_numpy(dtype=np.float64).mean(axis=0) for one in names])
    elif columns.smiles is not None:
        described = np.stack(
            [_fingerprint(one, smiles, reference) for one, smiles in zip(names, table["smiles"], strict=True)]
        )
    return Conditions(
        names,
        table["context"].to_numpy(dtype=str),
        np.stack([controls.profile[context] for context in table["context"]]),
        log_dose=None if columns.dose is None else log_doses(table["dose"], columns.dose),
        features=described,
        # plates of the reference say nothing of the query's
        design=None if reference.measured.conditions.design is None else table["context"].to_numpy(dtype=str),
    )


def _require_known(
    names: tuple[tuple[str, ...], ...],
    smiles: pd.Series,
    reference: Reference,
    features: pd.DataFrame | None,
    *,
    has_smiles: bool,
) -> None:
    measured = sorted({name for row in reference.measured.conditions.perturbations for name in row})
    for row, given in zip(names, smiles, strict=True):
        if features is not None:
            for name in row:
                require_key(features.index, name, "`features`", "perturbation")
        elif has_smiles and not _is_given(given):
            for name in row:
                require_key(reference.smiles, name, "the perturbations with a SMILES (say `smiles=`)", "perturbation")
        elif not has_smiles and not set(row) & set(measured):
            where = "the perturbations of `reference`, and without `features` nothing is known of others"
            require_key(measured, row[0], where, "perturbation")


def _fingerprint(names: tuple[str, ...], smiles: Any, reference: Reference) -> np.ndarray:
    """Of the SMILES given, else the mean of those of the names."""
    if not _is_given(smiles):
        return morgan_fingerprints([reference.smiles[name] for name in names]).mean(axis=0)
    own = morgan_fingerprints([smiles])[0]
    known = reference.smiles.get(names[0]) if len(names) == 1 else None
    if known is not None and not np.array_equal(own, morgan_fingerprints([known])[0]):
        raise ValueError(
            f"`smiles`={smiles!r} is another molecule than {names[0]!r} of `reference`, {known!r}; "
            "leave `smiles` out, or give the new drug a name of its own"
        )
    return own


def _is_given(smiles: Any) -> bool:
    return smiles is not None and smiles == smiles  # NaN stands for none in a data frame
