"""A fitted translator on disk; see :mod:`scgx.tl._saved_files`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from scgx.tl._fitted import Fitted
from scgx.tl._saved_files import read_saved, write_saved


def save_translator(settings: dict[str, Any], fitted: Fitted, directory: Path) -> None:
    """Write settings (plain values) and ``fitted`` to ``directory``, which is made if needed."""
    foreign = [name for name, member in fitted.estimator.members_.items() if not _savable(member)]
    if foreign:
        raise ValueError(
            f"{foreign} cannot be saved: only a pickle could hold it, and loading a pickle runs its code. Fit with "
            "`method=` a list of closed-form methods to save, or keep the data and fit again."
        )
    saved = {name: getattr(fitted, name) for name in Fitted.__dataclass_fields__ if name != "rows"}
    write_saved(directory, "translator", settings, saved)


def load_translator(directory: Path) -> tuple[dict[str, Any], Fitted]:
    """Read what :func:`save_translator` wrote: settings and what was fitted."""
    settings, fitted = read_saved(directory, "translator")
    try:
        return settings, Fitted(**fitted)
    except TypeError as error:
        raise ValueError(f"{directory} is damaged or not a saved translator: {error}.") from error


def _savable(estimator: BaseEstimator) -> bool:
    nested = [value for value in vars(estimator).values() if isinstance(value, BaseEstimator)]
    return getattr(estimator, "savable", True) and all(_savable(member) for member in nested)
