"""A perturbation predictor on disk; see :mod:`scgx.tl._saved_files`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scgx.estimators import Conditions
from scgx.selection import MeasuredResponses, ResponseChoice
from scgx.tl._perturbation_reference import Reference
from scgx.tl._saved_files import read_saved, write_saved

if TYPE_CHECKING:
    from scgx.tl._perturbation_predictor import PerturbationPredictor

_STEM = "perturbation_predictor"
_TOGETHER = "\n"


def save_perturbation(predictor: PerturbationPredictor, directory: Path) -> None:
    """Write settings, mean profiles and choices to ``directory``, which is made if needed."""
    method = predictor.method
    own = [] if isinstance(method, str) else method.values() if isinstance(method, Mapping) else method
    if any(not isinstance(one, str) for one in own):
        raise ValueError(
            f"responses of your own ({list(own)}) cannot be saved: only a pickle could hold them, and loading a pickle runs "
            "its code. Fit with names of `scgx.selection.RESPONSES` to save."
        )
    reference, columns, features = predictor.reference, predictor.columns, predictor.features
    settings = {
        "method": method if isinstance(method, str) else dict(method) if isinstance(method, Mapping) else list(method),
        **{argument: key for argument, key in columns.named().items() if "[" not in argument},
        "control": columns.control,
        "separator": columns.separator,
        "design_keys": list(columns.design),
        "interval": predictor.interval,
        "layer": predictor.layer,
        "seed": predictor.seed,
    }
    measured = {name: getattr(reference.measured, name) for name in ("mean", "unit", "controls", "halves")}
    conditions = {
        name: getattr(reference.measured.conditions, name)
        for name in ("context", "control", "log_dose", "features", "design")
    }
    fitted = {
        "genes": reference.genes,
        "smiles": reference.smiles,
        "measured": measured,
        "conditions": conditions,
        "perturbations": np.array([_TOGETHER.join(names) for names in reference.measured.conditions.perturbations]),
        "choices": {question: asdict(choice) for question, choice in predictor._choices.items()},
        "feature_names": None if features is None else features.index.to_numpy(dtype=str),
        "feature_values": None if features is None else features.to_numpy(dtype=np.float64),
    }
    write_saved(directory, _STEM, settings, fitted)


def load_perturbation(directory: Path) -> tuple[dict[str, Any], Reference, dict[str, ResponseChoice]]:
    """Read what :func:`save_perturbation` wrote."""
    settings, fitted = read_saved(directory, _STEM)
    try:
        together = tuple(tuple(str(label).split(_TOGETHER)) for label in fitted["perturbations"])
        conditions = Conditions(together, **fitted["conditions"])
        reference = Reference(fitted["genes"], MeasuredResponses(conditions, **fitted["measured"]), fitted["smiles"])
        choices = {question: ResponseChoice(**choice) for question, choice in fitted["choices"].items()}
        if fitted["feature_names"] is not None:
            settings["features"] = pd.DataFrame(fitted["feature_values"], index=fitted["feature_names"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory} is damaged or not a saved predictor: {error}.") from error
    return settings, reference, choices
