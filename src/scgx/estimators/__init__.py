"""Translators as scikit-learn estimators: arrays in, arrays out."""

from scgx._core.similarity import tanimoto
from scgx.estimators._anchored import Anchored
from scgx.estimators._balanced_tissue import BalancedTissue, balanced_rows
from scgx.estimators._base import BaseTranslator, column_mean, group_folds
from scgx.estimators._baseline import TrainingAverage
from scgx.estimators._conditions import BaseResponse, Conditions
from scgx.estimators._forest import TargetForest
from scgx.estimators._gene_cca import AnchoredCCA
from scgx.estimators._gene_map import TopGenes, map_weights, table_weights, top_genes, unrelated_spread
from scgx.estimators._gene_scores import CosineSimilarity, GeneMapper, GeneScores
from scgx.estimators._gene_similarity import LEVEL_WEIGHT, ProfileSimilarity
from scgx.estimators._gene_transport import GeneTransport
from scgx.estimators._kernel_ridge import KernelRidge
from scgx.estimators._kernel_weights import kernel_weights
from scgx.estimators._labels import BaseLabelClassifier, SklearnLabels
from scgx.estimators._labels_blocks import BlockLabels, RowBlocks
from scgx.estimators._labels_centroid import CentroidLabels
from scgx.estimators._labels_linear import LogisticLabels, NeighborLabels
from scgx.estimators._matrix_completion import MatrixCompletion
from scgx.estimators._mlp import MLP
from scgx.estimators._per_tissue import PerTissue
from scgx.estimators._pls import PLS
from scgx.estimators._quantile import QuantileNormalization
from scgx.estimators._reactome_additive import AdditiveReactome
from scgx.estimators._reactome_conditions import BaseReactome, ReactomeConditions, cell_means
from scgx.estimators._reactome_gp import ReactomeGaussianProcess
from scgx.estimators._reactome_low_rank import LowRankReactome
from scgx.estimators._reactome_mean import ReactomeMean
from scgx.estimators._reactome_neighbors import NearestDrugs
from scgx.estimators._residual import ResidualOf
from scgx.estimators._response_additive import Additive, LinearCombination
from scgx.estimators._response_bilinear import Bilinear
from scgx.estimators._response_context import ContextMean, SimilarityWeighted
from scgx.estimators._response_dose import DoseInterpolation
from scgx.estimators._response_drugbert import DrugBERT
from scgx.estimators._response_features import FeatureRegression, TanimotoNeighbors
from scgx.estimators._response_graph import PerturbationGraph
from scgx.estimators._response_kernel import ConditionKernelRidge
from scgx.estimators._response_mean import MeanDelta, NoChange
from scgx.estimators._response_transfer import (
    FEWEST_GENES,
    SpeciesResponses,
    affine_transfer,
    copy_transfer,
    latent_transfer,
    mean_over,
    no_transfer,
    species_mean_transfer,
)
from scgx.estimators._response_transfer_regression import boosting_transfer, ridge_transfer
from scgx.estimators._same_gene import SameGene
from scgx.estimators._sample_attention import SampleAttention
from scgx.estimators._scaler import GeneScaler
from scgx.estimators._seq2seq import Seq2Seq
from scgx.estimators._sklearn import SklearnTranslator
from scgx.estimators._structure import MOST_PROFILES, StructureMatch, match_structure
from scgx.estimators._synergy import BaseSynergy, SynergyMean
from scgx.estimators._synergy_features import Chemistry, Identity, RandomVectors
from scgx.estimators._synergy_kernel import PairKernel
from scgx.estimators._synergy_network import DeepDDS, DeepSynergy
from scgx.estimators._synergy_table import SynergyBoosting, SynergyForest, SynergyLinear
from scgx.estimators._transplatformer import TransPlatformer

__all__ = [
    "FEWEST_GENES",
    "LEVEL_WEIGHT",
    "MLP",
    "MOST_PROFILES",
    "PLS",
    "Additive",
    "AdditiveReactome",
    "Anchored",
    "AnchoredCCA",
    "BalancedTissue",
    "BaseLabelClassifier",
    "BaseReactome",
    "BaseResponse",
    "BaseSynergy",
    "BaseTranslator",
    "Bilinear",
    "BlockLabels",
    "CentroidLabels",
    "RowBlocks",
    "Chemistry",
    "ConditionKernelRidge",
    "Conditions",
    "ContextMean",
    "CosineSimilarity",
    "DeepDDS",
    "DeepSynergy",
    "DoseInterpolation",
    "DrugBERT",
    "FeatureRegression",
    "GeneMapper",
    "GeneScaler",
    "GeneScores",
    "GeneTransport",
    "Identity",
    "KernelRidge",
    "LinearCombination",
    "LogisticLabels",
    "LowRankReactome",
    "MatrixCompletion",
    "MeanDelta",
    "NearestDrugs",
    "NeighborLabels",
    "NoChange",
    "PairKernel",
    "PerTissue",
    "PerturbationGraph",
    "ProfileSimilarity",
    "QuantileNormalization",
    "RandomVectors",
    "ReactomeConditions",
    "ReactomeGaussianProcess",
    "ReactomeMean",
    "ResidualOf",
    "SameGene",
    "SampleAttention",
    "Seq2Seq",
    "SimilarityWeighted",
    "SklearnLabels",
    "SklearnTranslator",
    "SpeciesResponses",
    "StructureMatch",
    "SynergyBoosting",
    "SynergyForest",
    "SynergyLinear",
    "SynergyMean",
    "TanimotoNeighbors",
    "TargetForest",
    "TopGenes",
    "TrainingAverage",
    "TransPlatformer",
    "affine_transfer",
    "balanced_rows",
    "boosting_transfer",
    "cell_means",
    "column_mean",
    "copy_transfer",
    "group_folds",
    "kernel_weights",
    "latent_transfer",
    "map_weights",
    "match_structure",
    "mean_over",
    "no_transfer",
    "ridge_transfer",
    "species_mean_transfer",
    "table_weights",
    "tanimoto",
    "top_genes",
    "unrelated_spread",
]
