"""Plain torch blocks: no scvi, no AnnData. Imported only where they are used: torch is slow to load."""

from scgx.nn._episodes import Episodes, predict
from scgx.nn._error import masked_error
from scgx.nn._perceptron import Network
from scgx.nn._sample_attention import SampleAttention

__all__ = ["Episodes", "Network", "SampleAttention", "masked_error", "predict"]
