"""A trained model as JSON (names, plain values) and safetensors (weights). No pickle: loading runs no code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

_FORMAT = 1


def write_model(directory: Path, model: str, content: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Write ``content`` (plain values) and ``weights`` to ``directory``, which is made if needed."""
    from scgx import __version__

    directory.mkdir(parents=True, exist_ok=True)
    tensors = directory / "model.safetensors"
    save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, tensors)
    header = {
        "format": _FORMAT,
        "model": model,
        "scgx_version": __version__,
        "sha256": hashlib.sha256(tensors.read_bytes()).hexdigest(),
    }
    (directory / "model.json").write_text(json.dumps(header | content, indent=1))


def read_model(directory: Path, model: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What :func:`write_model` wrote for a model of this name.

    Raises
    ------
    ValueError
        If files are missing, damaged, of another version or of another model.
    """
    description, tensors = directory / "model.json", directory / "model.safetensors"
    if not description.is_file() or not tensors.is_file():
        raise ValueError(f"{directory} is not a saved model: it needs {description.name} and {tensors.name}.")
    try:
        content = json.loads(description.read_text())
        found = content["format"], content["model"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{description} is damaged or not a saved model: {error}.") from error
    if found != (_FORMAT, model):
        raise ValueError(
            f"{directory} holds {found[1]} in format {found[0]}, saved by scgx {content.get('scgx_version')}; this version "
            f"reads {model} in format {_FORMAT}. Use the matching class and version, or train and save again."
        )
    if hashlib.sha256(tensors.read_bytes()).hexdigest() != content.get("sha256"):
        raise ValueError(f"{tensors} is damaged: its checksum differs from that in {description.name}. Copy it again.")
    try:
        return content, load_file(tensors)
    except SafetensorError as error:
        raise ValueError(f"{tensors} is damaged: {error}. Copy it again.") from error
