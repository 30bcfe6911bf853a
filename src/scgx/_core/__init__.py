from .arrays import by_rows, dense_rows, layer_or_x, require_finite
from .errors import examples, require_key, require_unique
from .genes import GeneMatch, match_genes, require_same_target
from .inplace import output_object
from .keys import (
    EmbedKeys,
    ExperimentKeys,
    GeneMapKeys,
    ImportanceKeys,
    LogFoldChangeKeys,
    PerturbationKeys,
    PredictedReactomeKeys,
    ReactomeKeys,
    TargetKeys,
    TransferLabelsKeys,
    TransferResponseKeys,
    TranslateKeys,
)
from .orthologs import GenePairs, ortholog_pairs
from .pairing import check_paired
from .reactome import Reactome, registered_reactome, shared_conditions
from .training_data import TrainingData, check_source, registered_target, source_of, training_data

__all__ = [
    "EmbedKeys",
    "ExperimentKeys",
    "GeneMapKeys",
    "GeneMatch",
    "GenePairs",
    "ImportanceKeys",
    "LogFoldChangeKeys",
    "PerturbationKeys",
    "PredictedReactomeKeys",
    "Reactome",
    "ReactomeKeys",
    "TargetKeys",
    "TrainingData",
    "TransferLabelsKeys",
    "TransferResponseKeys",
    "TranslateKeys",
    "by_rows",
    "check_paired",
    "check_source",
    "dense_rows",
    "examples",
    "layer_or_x",
    "match_genes",
    "ortholog_pairs",
    "output_object",
    "registered_reactome",
    "registered_target",
    "require_finite",
    "require_key",
    "require_same_target",
    "require_unique",
    "shared_conditions",
    "source_of",
    "training_data",
]
