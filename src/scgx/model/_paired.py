"""The user's MuData as an object of scgx's own: scvi writes to what it registers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField
from scvi.model.base import BaseModelClass

from scgx._core import check_paired, check_source, dense_rows, layer_or_x, require_finite, require_key, require_unique
from scgx.model._fields import QuietObsmField
from scgx.module import SOURCE, TARGET

if TYPE_CHECKING:
    from mudata import MuData

#: columns of ``.obs``
GROUP, TISSUE = "group", "tissue"
_FEWEST_ROWS = 3


@dataclass(frozen=True)
class Setup:
    """Where source, target and labels are in a MuData; see :meth:`scgx.model.TransPlatformer.setup_mudata`."""

    source: str
    target: str
    source_layer: str | None
    target_layer: str | None
    group_key: str | None
    tissue_key: str | None

    def check(self, mdata: MuData) -> None:
        """Raise unless all is there and row i is the same sample in both modalities."""
        check_paired(mdata, self.source, self.target)
        for name, layer in ((self.source, self.source_layer), (self.target, self.target_layer)):
            require_unique(mdata.mod[name].var_names, f"var_names of mod[{name!r}]")
            layer_or_x(mdata.mod[name], layer)
        for argument in ("group_key", "tissue_key"):
            key = getattr(self, argument)
            if key is not None:
                require_key(mdata.mod[self.source].obs.columns, key, f".obs of mod[{self.source!r}]", argument)


def paired_rows(mdata: MuData, setup: Setup) -> AnnData:
    """Copy of the rows with a measured target: source in ``.X``, target in ``.obsm``, labels in ``.obs``; NaN for gaps.

    Raises
    ------
    ValueError
        If rows are not paired, too few have a target, values are infinite or a source row is empty.
    """
    setup.check(mdata)
    source, target = mdata.mod[setup.source], mdata.mod[setup.target]
    Y = dense_rows(layer_or_x(target, setup.target_layer))
    require_finite(Y, f"mod[{setup.target!r}]", allow_nan=True)
    rows = np.flatnonzero(np.isfinite(Y).any(axis=1))
    if len(rows) < _FEWEST_ROWS:
        raise ValueError(
            f"only {len(rows)} of {len(Y)} rows have a measured value in mod[{setup.target!r}]; at least "
            f"{_FEWEST_ROWS} are needed to train and validate."
        )
    X = dense_rows(layer_or_x(source, setup.source_layer), rows)
    check_source(X, rows)
    keys = {GROUP: setup.group_key, TISSUE: setup.tissue_key}
    obs = {name: _labels(source.obs[key].iloc[rows], key) for name, key in keys.items() if key is not None}
    return AnnData(
        X,
        obs=pd.DataFrame(obs, index=source.obs_names[rows]),
        var=pd.DataFrame(index=source.var_names),
        obsm={TARGET: Y[rows]},
        uns={TARGET: target.var_names.to_numpy(dtype=str)},
    )


def register(model: type[BaseModelClass], rows: AnnData, setup: Setup) -> None:
    """Make what :func:`paired_rows` gave known to a model class; writes a key to its ``.uns``."""
    arguments = model._get_setup_method_args(cls=model, mdata=None, **asdict(setup))
    fields = [LayerField(SOURCE, None, is_count_data=False), QuietObsmField(TARGET)]
    manager = AnnDataManager(fields, setup_method_args=arguments)
    manager.register_fields(rows)
    model.register_manager(manager)


def _labels(column: pd.Series, key: str) -> np.ndarray:
    if column.isna().any():
        raise ValueError(f".obs[{key!r}] has {int(column.isna().sum())} missing values; fill them or drop these rows.")
    return column.astype(str).to_numpy(dtype=object)
