"""Benchmarks: data × methods × leak-safe splits, in a tidy table."""

from scgx.bm._compare import compare
from scgx.bm._summary import summary
from scgx.bm._translate import translate

__all__ = ["compare", "summary", "translate"]
