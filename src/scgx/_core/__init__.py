from .arrays import by_rows, dense_rows, layer_or_x, require_finite
from .errors import examples, require_key, require_unique
from .genes import GeneMatch, match_genes, require_same_target
from .inplace import output_object
from .keys import ImportanceKeys, LogFoldChangeKeys, TargetKeys, TranslateKeys
from .pairing import check_paired
from .training_data import TrainingData, check_source, registered_target, source_of, training_data

__all__ = [
    "GeneMatch",
    "ImportanceKeys",
    "LogFoldChangeKeys",
    "TargetKeys",
    "TrainingData",
    "TranslateKeys",
    "by_rows",
    "check_paired",
    "check_source",
    "dense_rows",
    "examples",
    "layer_or_x",
    "match_genes",
    "output_object",
    "registered_target",
    "require_finite",
    "require_key",
    "require_same_target",
    "require_unique",
    "source_of",
    "training_data",
]
