"""Figures that scanpy does not have."""

from scgx.pl._benchmark import benchmark
from scgx.pl._pearson_distribution import pearson_distribution

__all__ = ["benchmark", "pearson_distribution"]
