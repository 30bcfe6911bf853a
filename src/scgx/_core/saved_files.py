"""A saved object as JSON (names, plain values) beside safetensors (arrays). No pickle: loading runs no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SavedFiles:
    """The two files of one saved object.

    Attributes
    ----------
    directory
        Where they are.
    stem
        Their name without suffix; errors call the object so.
    """

    directory: Path
    stem: str

    @property
    def description(self) -> Path:
        """Names and plain values."""
        return self.directory / f"{self.stem}.json"

    @property
    def tensors(self) -> Path:
        """Arrays."""
        return self.directory / f"{self.stem}.safetensors"

    def write(self, content: dict[str, Any], save_tensors: Callable[[Path], None]) -> None:
        """Write ``content`` with version and checksum, and the arrays; the directory is made if needed."""
        from scgx import __version__

        self.directory.mkdir(parents=True, exist_ok=True)
        save_tensors(self.tensors)
        header = {"scgx_version": __version__, "sha256": self._checksum()}
        self.description.write_text(json.dumps(header | content, indent=1))

    def read_description(self, *required: str) -> dict[str, Any]:
        """Read names and plain values.

        Raises
        ------
        ValueError
            If a file is missing, or the description is no JSON or lacks a required key.
        """
        if not self.description.is_file() or not self.tensors.is_file():
            raise ValueError(
                f"{self.directory} is not a saved {self.stem}: it needs {self.description.name} and {self.tensors.name}."
            )
        try:
            content = json.loads(self.description.read_text())
            for key in required:
                content[key]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{self.description} is damaged or not a saved {self.stem}: {error}.") from error
        return content

    def require_intact(self, content: dict[str, Any]) -> None:
        """Raise a ValueError if the arrays are not those that were written with ``content``."""
        if self._checksum() != content.get("sha256"):
            raise ValueError(
                f"{self.tensors} is damaged: its checksum differs from that in {self.description.name}. Copy it again."
            )

    def _checksum(self) -> str:
        return hashlib.sha256(self.tensors.read_bytes()).hexdigest()
