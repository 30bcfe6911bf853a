"""A fitted object as JSON (names, plain values) and safetensors (arrays). No pickle: loading runs no code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator

from scgx import estimators
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
    from scgx import __version__

    arrays: dict[str, np.ndarray] = {}
    content = {
        "format": _FORMAT,
        "scgx_version": __version__,
        "settings": settings,
        "fitted": {name: _encode(value, name, arrays) for name, value in fitted.items()},
    }
    directory.mkdir(parents=True, exist_ok=True)
    tensors = directory / f"{stem}.safetensors"
    save_file(arrays, tensors)
    content["sha256"] = hashlib.sha256(tensors.read_bytes()).hexdigest()
    (directory / f"{stem}.json").write_text(json.dumps(content, indent=1))


def read_saved(directory: Path, stem: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what :func:`write_saved` wrote: settings and what was fitted.

    Raises
    ------
    ValueError
        If files are missing, damaged, of another version or something else.
    """
    description, tensors = directory / f"{stem}.json", directory / f"{stem}.safetensors"
    if not description.is_file() or not tensors.is_file():
        raise ValueError(f"{directory} is not a saved {stem}: it needs {description.name} and {tensors.name}.")
    try:
        content = json.loads(description.read_text())
        version = content["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{description} is damaged or not a saved {stem}: {error}.") from error
    if version != _FORMAT:
        raise ValueError(
            f"{directory} was saved in format {version} by scgx {content.get('scgx_version')}; this version reads "
            f"format {_FORMAT}. Use that version, or fit and save again."
        )
    if hashlib.sha256(tensors.read_bytes()).hexdigest() != content.get("sha256"):
        raise ValueError(f"{tensors} is damaged: its checksum differs from that in {description.name}. Copy it again.")
    try:
        arrays = load_file(tensors)
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
