"""Choosing among predictors: splits, cross-validation, stacking, conformal intervals. Arrays only."""

from typing import TYPE_CHECKING, Any

from scgx.selection._auto import STACK, AutoTranslator
from scgx.selection._auto_labels import (
    LABEL_CLASSIFIERS,
    MAJORITY,
    AutoLabels,
    label_folds,
    majority_labels,
    make_label_classifiers,
)
from scgx.selection._auto_response import AutoResponse, ResponseChoice, measured_choice
from scgx.selection._auto_synergy import SYNERGY_STACK, AutoSynergy
from scgx.selection._bootstrap import PairedDifference, paired_bootstrap
from scgx.selection._calibration import leave_one_out_offset, shrunk_mean, study_scale, study_shift
from scgx.selection._candidates import AUTO, BASELINES, METHODS, NEEDS_SHARED_GENES, make_candidates
from scgx.selection._conformal import conformal_half_width, conformal_half_width_by, held_out_coverage
from scgx.selection._cross_validate import OutOfFold, cross_validate
from scgx.selection._experiments import STRATEGIES, ExperimentChoice, choose_experiments
from scgx.selection._gene_map import MapScores, best_of_permuted, false_discovery, score_gene_map
from scgx.selection._measured_responses import MeasuredResponses
from scgx.selection._novelty import perturbation_novelty
from scgx.selection._permutation_importance import permutation_importance
from scgx.selection._questions import question_folds, question_of
from scgx.selection._reactome import (
    REACTOME_BASELINES,
    REACTOMES,
    ReactomeOutOfFold,
    cross_validate_reactome,
    held_out_groups,
    held_out_rows,
    make_reactomes,
    reactome_folds,
)
from scgx.selection._reactome_choice import ReactomeChoice, choose_reactome, fit_members
from scgx.selection._reactome_scores import reactome_scores
from scgx.selection._responses import RESPONSE_BASELINES, RESPONSES, make_responses, possible_responses
from scgx.selection._scores import prediction_scores
from scgx.selection._split_checks import n_singles_seen, require_no_leak
from scgx.selection._stack import stack_weights
from scgx.selection._synergy import (
    ONE_HOT,
    SYNERGIES,
    SYNERGY_BASELINES,
    SYNERGY_SPLITS,
    synergy_folds,
    synergy_names,
    synergy_questions,
    synergy_scores,
    synergy_units,
)
from scgx.selection._training_rows import TrainingRows, for_training, training_rows
from scgx.selection._transfer import (
    TRANSFER_BASELINES,
    TRANSFERS,
    ChosenTransfer,
    choose_transfer,
    is_fittable,
    measured_conditions,
    predict_transfer,
    transfer_folds,
    transfer_names,
    transfer_scores,
)
from scgx.selection._transfer_interval import transfer_coverage, transfer_half_width
from scgx.selection._transfer_nested import TransferFold, nested_transfer

if TYPE_CHECKING:
    from scgx.selection._splits import LeaveCombinationOut, LeavePerturbationsOut, ScaffoldKFold

__all__ = [
    "AUTO",
    "BASELINES",
    "LABEL_CLASSIFIERS",
    "MAJORITY",
    "METHODS",
    "NEEDS_SHARED_GENES",
    "ONE_HOT",
    "REACTOMES",
    "REACTOME_BASELINES",
    "RESPONSES",
    "RESPONSE_BASELINES",
    "STACK",
    "STRATEGIES",
    "SYNERGIES",
    "SYNERGY_BASELINES",
    "SYNERGY_SPLITS",
    "SYNERGY_STACK",
    "TRANSFERS",
    "TRANSFER_BASELINES",
    "AutoLabels",
    "AutoResponse",
    "AutoSynergy",
    "AutoTranslator",
    "ChosenTransfer",
    "ExperimentChoice",
    "LeaveCombinationOut",
    "LeavePerturbationsOut",
    "MapScores",
    "MeasuredResponses",
    "OutOfFold",
    "PairedDifference",
    "ReactomeChoice",
    "ReactomeOutOfFold",
    "ResponseChoice",
    "ScaffoldKFold",
    "TrainingRows",
    "TransferFold",
    "best_of_permuted",
    "choose_experiments",
    "choose_reactome",
    "choose_transfer",
    "conformal_half_width",
    "conformal_half_width_by",
    "held_out_coverage",
    "cross_validate",
    "cross_validate_reactome",
    "false_discovery",
    "fit_members",
    "for_training",
    "held_out_groups",
    "held_out_rows",
    "is_fittable",
    "label_folds",
    "leave_one_out_offset",
    "majority_labels",
    "make_candidates",
    "make_label_classifiers",
    "make_reactomes",
    "make_responses",
    "measured_choice",
    "measured_conditions",
    "n_singles_seen",
    "nested_transfer",
    "paired_bootstrap",
    "permutation_importance",
    "perturbation_novelty",
    "possible_responses",
    "predict_transfer",
    "prediction_scores",
    "question_folds",
    "question_of",
    "reactome_folds",
    "reactome_scores",
    "require_no_leak",
    "score_gene_map",
    "shrunk_mean",
    "stack_weights",
    "study_scale",
    "study_shift",
    "synergy_folds",
    "synergy_names",
    "synergy_questions",
    "synergy_scores",
    "synergy_units",
    "training_rows",
    "transfer_coverage",
    "transfer_folds",
    "transfer_half_width",
    "transfer_names",
    "transfer_scores",
]


def __getattr__(name: str) -> Any:
    """Load splitters on first use: what they inherit from, scikit-learn's ``model_selection``, is slow to load."""
    if name not in {"LeaveCombinationOut", "LeavePerturbationsOut", "ScaffoldKFold"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from scgx.selection import _splits

    return getattr(_splits, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
