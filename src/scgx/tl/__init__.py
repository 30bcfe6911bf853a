"""Verbs that compute: AnnData in, results written to its fields."""

from scgx.tl._embed import embed
from scgx.tl._gene_importance import gene_importance
from scgx.tl._map_genes import map_genes
from scgx.tl._perturbation_predictor import PerturbationPredictor
from scgx.tl._predict_perturbation import predict_perturbation
from scgx.tl._predict_reactome import predict_reactome
from scgx.tl._predict_synergy import predict_synergy
from scgx.tl._suggest_experiments import suggest_experiments
from scgx.tl._synergy_predictor import SynergyPredictor
from scgx.tl._transfer_labels import transfer_labels
from scgx.tl._transfer_response import transfer_response
from scgx.tl._translate import translate
from scgx.tl._translator import Translator

__all__ = [
    "PerturbationPredictor",
    "SynergyPredictor",
    "Translator",
    "embed",
    "gene_importance",
    "map_genes",
    "predict_perturbation",
    "predict_reactome",
    "predict_synergy",
    "suggest_experiments",
    "transfer_labels",
    "transfer_response",
    "translate",
]
