"""Translators as scikit-learn estimators: arrays in, arrays out."""

from scgx.estimators._anchored import Anchored
from scgx.estimators._balanced_tissue import BalancedTissue, balanced_rows
from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._baseline import TrainingAverage
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._forest import TargetForest
from scgx.estimators._kernel_ridge import KernelRidge
from scgx.estimators._matrix_completion import MatrixCompletion
from scgx.estimators._mlp import MLP
from scgx.estimators._per_tissue import PerTissue
from scgx.estimators._pls import PLS
from scgx.estimators._quantile import QuantileNormalization
from scgx.estimators._residual import ResidualOf
from scgx.estimators._response_additive import Additive, LinearCombination
from scgx.estimators._response_context import ContextMean, SimilarityWeighted
from scgx.estimators._response_features import FeatureRegression, TanimotoNeighbors
from scgx.estimators._response_kernel import ConditionKernelRidge
from scgx.estimators._response_mean import MeanDelta, NoChange
from scgx.estimators._same_gene import SameGene
from scgx.estimators._sample_attention import SampleAttention
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._seq2seq import Seq2Seq
from scgx.estimators._sklearn import SklearnTranslator
from scgx.estimators._transplatformer import TransPlatformer

__all__ = [
    "MLP",
    "PLS",
    "Additive",
    "Anchored",
    "BalancedTissue",
    "BaseResponse",
    "BaseTranslator",
    "ConditionKernelRidge",
    "Conditions",
    "ContextMean",
    "FeatureRegression",
    "GeneScaler",
    "KernelRidge",
    "LinearCombination",
    "MatrixCompletion",
    "MeanDelta",
    "NoChange",
    "PerTissue",
    "QuantileNormalization",
    "ResidualOf",
    "SameGene",
    "SampleAttention",
    "Seq2Seq",
    "SimilarityWeighted",
    "SklearnTranslator",
    "TanimotoNeighbors",
    "TargetForest",
    "TrainingAverage",
    "TransPlatformer",
    "balanced_rows",
    "column_mean",
    "group_folds",
]
