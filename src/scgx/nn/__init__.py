"""Plain torch blocks: no scvi, no AnnData. Imported only where they are used: torch is slow to load."""

from scgx.nn._drugbert import DrugBERT
from scgx.nn._drugbert_config import DrugBERTConfig, ResponseDecoder, Tokens
from scgx.nn._drugbert_names import name_bits
from scgx.nn._drugbert_rows import ConditionRows, condition_rows
from scgx.nn._episodes import Episodes, predict
from scgx.nn._error import masked_error
from scgx.nn._gene_graphs import (
    Graph,
    PerturbationNodes,
    coexpression_graph,
    nearest_graph,
    perturbation_nodes,
    standardised,
)
from scgx.nn._molecule_graph import GraphAttention, MoleculeEncoder
from scgx.nn._perceptron import perceptron
from scgx.nn._perturbation_graph import PerturbationGraph, PerturbationGraphConfig
from scgx.nn._perturbation_loss import perturbation_loss
from scgx.nn._sample_attention import SampleAttention
from scgx.nn._seq2seq import Seq2Seq
from scgx.nn._slot_attention import SlotAttention, slot_attention
from scgx.nn._synergy import Fingerprints, Molecules, SynergyNetwork
from scgx.nn._training import Training, predict_rows
from scgx.nn._transplatformer import TransPlatformer, TransPlatformerConfig
from scgx.nn._uge import UGE, UGEConfig, ecs_loss, profile_similarity
from scgx.nn._xtrimogene import XTrimoGene
from scgx.nn._xtrimogene_attention import attention
from scgx.nn._xtrimogene_buckets import length_buckets
from scgx.nn._xtrimogene_config import (
    SIZES,
    Decoder,
    Objective,
    ValueEmbedding,
    XTrimoGeneConfig,
    XTrimoGeneSize,
)
from scgx.nn._xtrimogene_linear_attention import linear_attention
from scgx.nn._xtrimogene_masking import biased_mask

__all__ = [
    "SIZES",
    "UGE",
    "ConditionRows",
    "Decoder",
    "DrugBERT",
    "DrugBERTConfig",
    "Episodes",
    "Fingerprints",
    "Graph",
    "GraphAttention",
    "MoleculeEncoder",
    "Molecules",
    "Objective",
    "PerturbationGraph",
    "PerturbationGraphConfig",
    "PerturbationNodes",
    "ResponseDecoder",
    "SampleAttention",
    "Seq2Seq",
    "SlotAttention",
    "SynergyNetwork",
    "Tokens",
    "Training",
    "TransPlatformer",
    "TransPlatformerConfig",
    "UGEConfig",
    "ValueEmbedding",
    "XTrimoGene",
    "XTrimoGeneConfig",
    "XTrimoGeneSize",
    "attention",
    "biased_mask",
    "coexpression_graph",
    "condition_rows",
    "ecs_loss",
    "length_buckets",
    "linear_attention",
    "masked_error",
    "name_bits",
    "nearest_graph",
    "perceptron",
    "perturbation_loss",
    "perturbation_nodes",
    "predict",
    "predict_rows",
    "profile_similarity",
    "slot_attention",
    "standardised",
]
