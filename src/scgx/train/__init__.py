"""Training of scvi models: splits that keep groups whole, the best epoch, one way to run it all."""

from scgx.train._checkpoint import Checkpoint
from scgx.train._fit import fit
from scgx.train._fit_batches import Batches, Loop, fit_batches
from scgx.train._grouped_split import grouped_split
from scgx.train._keep_best import KeepBest

__all__ = ["Batches", "Checkpoint", "KeepBest", "Loop", "fit", "fit_batches", "grouped_split"]
