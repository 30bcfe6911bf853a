"""Networks with their losses, as scvi-tools wants them."""

from scgx.module._perturbation_graph import APPLIED, CHANGE, CONTROL, PerturbationGraphModule
from scgx.module._transplatformer import SOURCE, TARGET, TransPlatformerModule
from scgx.module._uge import UGEModule
from scgx.module._xtrimogene import XTrimoGeneModule
from scgx.nn import (
    SIZES,
    Decoder,
    Graph,
    Objective,
    PerturbationGraph,
    PerturbationGraphConfig,
    PerturbationNodes,
    TransPlatformerConfig,
    UGEConfig,
    ValueEmbedding,
    XTrimoGeneConfig,
    XTrimoGeneSize,
    biased_mask,
    coexpression_graph,
    length_buckets,
    perturbation_nodes,
    standardised,
)

__all__ = [
    "APPLIED",
    "CHANGE",
    "CONTROL",
    "SIZES",
    "SOURCE",
    "TARGET",
    "Decoder",
    "Graph",
    "Objective",
    "PerturbationGraph",
    "PerturbationGraphConfig",
    "PerturbationGraphModule",
    "PerturbationNodes",
    "TransPlatformerConfig",
    "TransPlatformerModule",
    "UGEConfig",
    "UGEModule",
    "ValueEmbedding",
    "XTrimoGeneConfig",
    "XTrimoGeneModule",
    "XTrimoGeneSize",
    "biased_mask",
    "coexpression_graph",
    "length_buckets",
    "perturbation_nodes",
    "standardised",
]
