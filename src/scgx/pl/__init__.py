"""Figures that scanpy does not have."""

from scgx.pl._benchmark import benchmark
from scgx.pl._coverage import coverage
from scgx.pl._pearson_distribution import pearson_distribution
from scgx.pl._predicted_vs_measured import predicted_vs_measured

__all__ = ["benchmark", "coverage", "pearson_distribution", "predicted_vs_measured"]
