"""Benchmarks: data × methods × leak-safe splits, in a tidy table."""

from scgx.bm._biomarker import biomarker
from scgx.bm._compare import compare
from scgx.bm._labels import labels
from scgx.bm._perturb import perturb
from scgx.bm._report import report
from scgx.bm._summary import summary
from scgx.bm._synergy import synergy
from scgx.bm._transfer import transfer
from scgx.bm._translate import translate

__all__ = [
    "biomarker",
    "compare",
    "labels",
    "perturb",
    "report",
    "summary",
    "synergy",
    "transfer",
    "translate",
]
