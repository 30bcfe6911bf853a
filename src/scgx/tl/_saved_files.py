from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator

from scgx import estimators
from scgx._core.saved_files import SavedFiles
from scgx.selection import AutoTranslator

_FORMAT = 1
_CLASSES: dict[str, type[BaseEstimator]] = {
    name: member
    for name in estimators.__all__
    if isinstance(member := getattr(estimators, name), type) and issubclass(member, BaseEstimator)
} | {"AutoTranslator": AutoTranslator}
#: of no use to a fitted AutoTranslator: unfitted candidates, and the training rows' predictions
_LEFT_OUT = {"candidates", "baselines", "out_of_fold_", "fold_"}


def write_saved(directory: Path, stem: str, settings: dict[str, Any], fitted: dict[str, Any]) -> None:
    """Write ``stem.json`` and ``stem.safetensors`` to ``directory``, which is made if needed.

    Parameters
    ----------
    directory
        Where to.
    stem
        What it is, for example ``"translator"``.
    settings
        Plain values.
    fitted
        Plain values, arrays, lists, dicts and estimators of :mod:`scgx.estimators`.
    """
    arrays: dict[str, np.ndarray] = {}
    encoded = {name: _encode(value, name, arrays) for name, value in fitted.items()}
    content = {"format": _FORMAT, "settings": settings, "fitted": encoded}
    SavedFiles(directory, stem).write(content, partial(save_file, arrays))


def read_saved(directory: Path, stem: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what :func:`write_saved` wrote: settings and what was fitted.

    Raises
    ------
    ValueError
        If files are missing, damaged, of another version or something else.
    """
    files = SavedFiles(directory, stem)
    content = files.read_description("format")
    if content["format"] != _FORMAT:
        raise ValueError(
            f"{directory} was saved in format {content['format']} by scgx {content.get('scgx_version')}; this version reads "
            f"format {_FORMAT}. Use that version, or fit and save again."
        )
    files.require_intact(content)
    try:
        arrays = load_file(files.tensors)
        return content["settings"], {name: _decode(value, arrays) for name, value in content["fitted"].items()}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{directory} is damaged or not a saved {stem}: {error}.") from error


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """Plain JSON for ``value``; numeric arrays go to ``arrays`` under their path."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        arrays[path] = np.ascontiguousarray(value)
        return {"array": path}
    if isinstance(value, np.ndarray):
        return {"strings": value.astype(str).tolist()}
    if isinstance(value, BaseEstimator):
        state = {name: member for name, member in vars(value).items() if name not in _LEFT_OUT}
        fields = {name: _encode(member, f"{path}.{name}", arrays) for name, member in state.items()}
        return {"estimator": type(value).__name__, "state": fields}
    if isinstance(value, dict):
        return {"dict": {key: _encode(member, f"{path}.{key}", arrays) for key, member in value.items()}}
    if isinstance(value, list | tuple):
        return {"list": [_encode(member, f"{path}.{i}", arrays) for i, member in enumerate(value)]}
    return {"value": value.item() if isinstance(value, np.generic) else value}


def _decode(node: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    ((kind, content),) = [(k, v) for k, v in node.items() if k != "state"]
    if kind == "array":
        return arrays[content]
    if kind == "strings":
        return np.array(content, dtype=str)
    if kind == "estimator":
        estimator = object.__new__(_CLASSES[content])
        vars(estimator).update({name: _decode(member, arrays) for name, member in node["state"].items()})
        return estimator
    if kind == "dict":
        return {name: _decode(member, arrays) for name, member in content.items()}
    if kind == "list":
        return [_decode(member, arrays) for member in content]
    return content
