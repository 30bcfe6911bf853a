"""Verbs that compute: AnnData in, results written to its fields."""

from scgx.tl._gene_importance import gene_importance
from scgx.tl._translate import translate
from scgx.tl._translator import Translator

__all__ = ["Translator", "gene_importance", "translate"]
