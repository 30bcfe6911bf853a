"""Translators as scikit-learn estimators: arrays in, arrays out."""

from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._baseline import TrainingAverage
from scgx.estimators._forest import TargetForest
from scgx.estimators._kernel_ridge import KernelRidge
from scgx.estimators._matrix_completion import MatrixCompletion
from scgx.estimators._mlp import MLP
from scgx.estimators._pls import PLS
from scgx.estimators._quantile import QuantileNormalization
from scgx.estimators._residual import ResidualOf
from scgx.estimators._same_gene import SameGene
from scgx.estimators._sample_attention import SampleAttention
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._sklearn import SklearnTranslator

__all__ = [
    "MLP",
    "PLS",
    "BaseTranslator",
    "GeneScaler",
    "KernelRidge",
    "MatrixCompletion",
    "QuantileNormalization",
    "ResidualOf",
    "SameGene",
    "SampleAttention",
    "SklearnTranslator",
    "TargetForest",
    "TrainingAverage",
    "column_mean",
    "group_folds",
]
