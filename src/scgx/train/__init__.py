"""Training of scvi models: splits that keep groups whole, the best epoch, one way to run it all."""

from scgx.train._fit import fit
from scgx.train._grouped_split import grouped_split
from scgx.train._keep_best import KeepBest

__all__ = ["KeepBest", "fit", "grouped_split"]
