"""Metrics: numpy in, numbers out. NaN in the truth means not measured and is left out."""

from scgx.metrics._average import average
from scgx.metrics._correlation import pearson, pearson_delta, pearson_within_gene
from scgx.metrics._error import mae, mae_extreme, mae_strong, r2_skill
from scgx.metrics._interval import interval_coverage, interval_width

__all__ = [
    "average",
    "interval_coverage",
    "interval_width",
    "mae",
    "mae_extreme",
    "mae_strong",
    "pearson",
    "pearson_delta",
    "pearson_within_gene",
    "r2_skill",
]
