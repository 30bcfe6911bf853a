from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scgx._core.saved_files import SavedFiles

_FORMAT = 1


def write_model(directory: Path, model: str, content: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Write ``content`` (plain values) and ``weights`` to ``directory``, which is made if needed."""
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}
    header = {"format": _FORMAT, "model": model}
    SavedFiles(directory, "model").write(header | content, partial(save_file, tensors))


def read_model(directory: Path, model: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What :func:`write_model` wrote for a model of this name.

    Raises
    ------
    ValueError
        If files are missing, damaged, of another version or of another model.
    """
    files = SavedFiles(directory, "model")
    content = files.read_description("format", "model")
    found = content["format"], content["model"]
    if found != (_FORMAT, model):
        raise ValueError(
            f"{directory} holds {found[1]} in format {found[0]}, saved by scgx {content.get('scgx_version')}; this version "
            f"reads {model} in format {_FORMAT}. Use the matching class and version, or train and save again."
        )
    files.require_intact(content)
    try:
        return content, load_file(files.tensors)
    except SafetensorError as error:
        raise ValueError(f"{files.tensors} is damaged: {error}. Copy it again.") from error


def plain_history(history: Mapping[str, pd.DataFrame] | None) -> dict[str, list[float]]:
    """Losses by epoch as plain values."""
    return {name: frame.iloc[:, 0].astype(float).tolist() for name, frame in (history or {}).items()}


def history_frames(history: Mapping[str, list[float]]) -> dict[str, pd.DataFrame]:
    """Losses by epoch as scvi-tools keeps them: a frame of one column each."""
    return {name: pd.DataFrame({name: values}) for name, values in history.items()}
