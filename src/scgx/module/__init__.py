"""Networks with their losses, as scvi-tools wants them."""

from scgx.module._transplatformer import SOURCE, TARGET, TransPlatformerModule
from scgx.nn import TransPlatformerConfig

__all__ = ["SOURCE", "TARGET", "TransPlatformerConfig", "TransPlatformerModule"]
