"""Carry gene-expression data across platforms, species and conditions, with the baseline beside every prediction."""

from importlib.metadata import version

from scgx import bm, datasets, get, metrics, pl, pp, tl

__version__ = version("scgx-tools")

__all__ = ["bm", "datasets", "get", "metrics", "pl", "pp", "tl"]
