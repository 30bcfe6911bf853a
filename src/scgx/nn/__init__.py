"""Plain torch blocks: no scvi, no AnnData. Imported only where they are used: torch is slow to load."""

from scgx.nn._episodes import Episodes, predict
from scgx.nn._error import masked_error
from scgx.nn._perceptron import perceptron
from scgx.nn._sample_attention import SampleAttention
from scgx.nn._seq2seq import Seq2Seq
from scgx.nn._slot_attention import SlotAttention, slot_attention
from scgx.nn._training import Training, predict_rows
from scgx.nn._transplatformer import TransPlatformer, TransPlatformerConfig

__all__ = [
    "Episodes",
    "SampleAttention",
    "Seq2Seq",
    "SlotAttention",
    "Training",
    "TransPlatformer",
    "TransPlatformerConfig",
    "masked_error",
    "perceptron",
    "predict",
    "predict_rows",
    "slot_attention",
]
