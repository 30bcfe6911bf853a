"""Metrics: numpy in, numbers out. NaN in the truth means not measured and is left out."""

from scgx.metrics._average import average
from scgx.metrics._ceiling import gap_closed, split_half_ceiling
from scgx.metrics._controls import require_disjoint_controls, split_controls
from scgx.metrics._correlation import pearson, pearson_delta, pearson_within_gene
from scgx.metrics._differential import deg_auprc, deg_recall, deg_sign_accuracy, mse_top20_de, overlap_at_n
from scgx.metrics._discrimination import centroid_accuracy, perturbation_discrimination
from scgx.metrics._distribution import e_distance, mmd, variance_ratio
from scgx.metrics._error import mae, mae_extreme, mae_strong, r2_skill
from scgx.metrics._gene_map import foscttm, match_ranks, mean_reciprocal_rank, recall_at_k
from scgx.metrics._interval import interval_coverage, interval_width
from scgx.metrics._labels import classification_scores, clustering_scores
from scgx.metrics._mean_max_pearson import MeanMaxPearson, mean_max_pearson
from scgx.metrics._uncertainty import crps, risk_coverage_curve

__all__ = [
    "foscttm",
    "match_ranks",
    "mean_reciprocal_rank",
    "recall_at_k",
    "MeanMaxPearson",
    "average",
    "centroid_accuracy",
    "classification_scores",
    "clustering_scores",
    "crps",
    "deg_auprc",
    "deg_recall",
    "deg_sign_accuracy",
    "e_distance",
    "gap_closed",
    "interval_coverage",
    "interval_width",
    "mae",
    "mae_extreme",
    "mae_strong",
    "mean_max_pearson",
    "mmd",
    "mse_top20_de",
    "overlap_at_n",
    "pearson",
    "pearson_delta",
    "pearson_within_gene",
    "perturbation_discrimination",
    "r2_skill",
    "require_disjoint_controls",
    "risk_coverage_curve",
    "split_controls",
    "split_half_ceiling",
    "variance_ratio",
]
