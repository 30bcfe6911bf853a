from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scvi.data.fields import ObsmField


class QuietObsmField(ObsmField):
    """A C-contiguous array of ``.obsm``, its columns named in ``.uns`` by the same key or else numbered.

    Registers what :class:`scvi.data.fields.ObsmField` does, without telling the user where names of scgx's own object are
    from.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key, key)

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Check that the array is there, keep the names of its columns."""
        self.validate_field(adata)
        names = adata.uns.get(self.attr_key, np.arange(adata.obsm[self.attr_key].shape[1]))
        return {self.COLUMN_NAMES_KEY: np.asarray(names)}
