"""Choosing among predictors: splits, cross-validation, stacking, conformal intervals. Arrays only."""

from scgx.selection._auto import STACK, AutoTranslator
from scgx.selection._bootstrap import PairedDifference, paired_bootstrap
from scgx.selection._calibration import leave_one_out_offset, shrunk_mean, study_scale, study_shift
from scgx.selection._candidates import AUTO, BASELINES, METHODS, NEEDS_SHARED_GENES, make_candidates
from scgx.selection._conformal import conformal_half_width, conformal_half_width_by
from scgx.selection._cross_validate import OutOfFold, cross_validate
from scgx.selection._permutation_importance import permutation_importance
from scgx.selection._responses import RESPONSE_BASELINES, RESPONSES, make_responses, possible_responses
from scgx.selection._scores import prediction_scores
from scgx.selection._splits import (
    LeaveCombinationOut,
    LeavePerturbationsOut,
    ScaffoldKFold,
    n_singles_seen,
    require_no_leak,
)
from scgx.selection._stack import stack_weights
from scgx.selection._training_rows import TrainingRows, for_training, training_rows

__all__ = [
    "AUTO",
    "BASELINES",
    "METHODS",
    "NEEDS_SHARED_GENES",
    "RESPONSES",
    "RESPONSE_BASELINES",
    "STACK",
    "AutoTranslator",
    "LeaveCombinationOut",
    "LeavePerturbationsOut",
    "OutOfFold",
    "PairedDifference",
    "ScaffoldKFold",
    "TrainingRows",
    "conformal_half_width",
    "conformal_half_width_by",
    "cross_validate",
    "for_training",
    "leave_one_out_offset",
    "make_candidates",
    "make_responses",
    "n_singles_seen",
    "paired_bootstrap",
    "permutation_importance",
    "possible_responses",
    "prediction_scores",
    "require_no_leak",
    "shrunk_mean",
    "stack_weights",
    "study_scale",
    "study_shift",
    "training_rows",
]
