"""Models that are set up, trained and saved, on scvi-tools. Loaded on first use: torch and scvi are slow to load."""

from scgx.model._drugbert import DrugBERT
from scgx.model._perturbation_graph import PerturbationGraph
from scgx.model._transplatformer import TransPlatformer
from scgx.model._uge import UGE
from scgx.model._xtrimogene import XTrimoGene

__all__ = ["UGE", "DrugBERT", "PerturbationGraph", "TransPlatformer", "XTrimoGene"]
