"""Figures that scanpy does not have."""

from scgx.pl._benchmark import benchmark
from scgx.pl._coverage import coverage
from scgx.pl._pearson_distribution import pearson_distribution
from scgx.pl._perturbation_change import perturbation_change
from scgx.pl._predicted_vs_measured import predicted_vs_measured
from scgx.pl._reactome_design import reactome_design

__all__ = [
    "benchmark",
    "coverage",
    "pearson_distribution",
    "perturbation_change",
    "predicted_vs_measured",
    "reactome_design",
]
