"""Benchmarks: data × methods × leak-safe splits, in a tidy table."""

from scgx.bm._biomarker import biomarker
from scgx.bm._compare import compare
from scgx.bm._perturb import perturb
from scgx.bm._report import report
from scgx.bm._summary import summary
from scgx.bm._translate import translate

__all__ = [
    "biomarker",
    "compare",
    "perturb",
    "report",
    "summary",
    "translate",
]
