"""A predictor of drug synergy on disk; see :mod:`scgx.tl._saved_files`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scgx._core.drug_pairs import DrugPairs
from scgx.selection import AutoSynergy
from scgx.tl._saved_files import read_saved, write_saved

_STEM = "synergy_predictor"


@dataclass(frozen=True)
class MeasuredPairs:
    """Training pairs, what was measured of them, and what their names mean."""

    pairs: DrugPairs
    y: np.ndarray
    column: str
    molecules: dict[str, str]
    lines: pd.DataFrame


def save_synergy(
    settings: dict[str, Any], measured: MeasuredPairs, fitted: dict[str, AutoSynergy], directory: Path
) -> None:
    """Write settings, training pairs, and the choice for each question to ``directory``, which is made if needed."""
    lines = measured.lines
    content = {
        "pairs": asdict(measured.pairs),
        "y": measured.y,
        "column": measured.column,
        "drugs": np.array(list(measured.molecules), dtype=str),
        "molecules": np.array(list(measured.molecules.values()), dtype=str),
        "lines": lines.index.to_numpy(dtype=str),
        "genes": lines.columns.to_numpy(dtype=str),
        "expression": lines.to_numpy(dtype=np.float32),
        "questions": {question: _state(auto) for question, auto in fitted.items()},
    }
    write_saved(directory, _STEM, settings, content)


def load_synergy(directory: Path) -> tuple[dict[str, Any], MeasuredPairs, dict[str, AutoSynergy]]:
    """Read what :func:`save_synergy` wrote."""
    settings, content = read_saved(directory, _STEM)
    try:
        lines = pd.DataFrame(content["expression"], index=content["lines"], columns=content["genes"])
        molecules = dict(zip(content["drugs"].tolist(), content["molecules"].tolist(), strict=True))
        measured = MeasuredPairs(DrugPairs(**content["pairs"]), content["y"], content["column"], molecules, lines)
        fitted = {}
        for question, state in content["questions"].items():
            fitted[question] = AutoSynergy(
                settings["method"], question, n_folds=settings["n_folds"], seed=settings["seed"], progress=True
            )
            for name, value in state.items():
                setattr(fitted[question], name, value)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory} is damaged or not a saved {_STEM}: {error}.") from error
    return settings, measured, fitted


def _state(auto: AutoSynergy) -> dict[str, Any]:
    """What was chosen and fitted, but for members that only a pickle could hold."""
    state = {name: value for name, value in vars(auto).items() if name.endswith("_")}
    kept = {name: member for name, member in auto.fitted_.items() if getattr(member, "savable", True)}
    return state | {"fitted_": kept}
