from ._add_target import add_target
from ._log_fold_change import log_fold_change
from ._pair import pair
from ._reactome import reactome

__all__ = ["add_target", "log_fold_change", "pair", "reactome"]
