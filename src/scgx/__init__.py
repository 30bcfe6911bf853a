"""Carry gene-expression data across platforms, species and conditions, with the baseline beside every prediction."""

from __future__ import annotations

from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING

from scgx import bm, datasets, get, metrics, pl, pp, tl

if TYPE_CHECKING:
    from scgx import model

__version__ = version("scgx-tools")

__all__ = ["bm", "datasets", "get", "metrics", "model", "pl", "pp", "tl"]


def __getattr__(name: str) -> ModuleType:
    """Load ``scgx.model`` on first use: torch and scvi take seconds to load."""
    if name != "model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module("scgx.model")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
