"""Choosing among predictors: splits, cross-validation, stacking, conformal intervals. Arrays only."""

from scgx.selection._auto import STACK, AutoTranslator
from scgx.selection._bootstrap import PairedDifference, paired_bootstrap
from scgx.selection._calibration import leave_one_out_offset, shrunk_mean, study_shift
from scgx.selection._candidates import AUTO, BASELINES, METHODS, NEEDS_SHARED_GENES, make_candidates
from scgx.selection._conformal import conformal_half_width, conformal_half_width_by
from scgx.selection._cross_validate import OutOfFold, cross_validate
from scgx.selection._scores import prediction_scores
from scgx.selection._stack import stack_weights

__all__ = [
    "AUTO",
    "BASELINES",
    "METHODS",
    "NEEDS_SHARED_GENES",
    "STACK",
    "AutoTranslator",
    "OutOfFold",
    "PairedDifference",
    "conformal_half_width",
    "conformal_half_width_by",
    "cross_validate",
    "leave_one_out_offset",
    "make_candidates",
    "paired_bootstrap",
    "prediction_scores",
    "shrunk_mean",
    "stack_weights",
    "study_shift",
]
