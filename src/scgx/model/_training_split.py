from __future__ import annotations

import numpy as np
from anndata import AnnData

from scgx.model._paired import GROUP, TISSUE
from scgx.selection import training_rows
from scgx.selection._training_rows import TrainingMode
from scgx.train import grouped_split


def rows_to_train_on(adata: AnnData | None, model: str) -> AnnData:
    """The rows that a model of this name holds; a ValueError for one that was loaded."""
    if adata is None:
        raise ValueError(f"a loaded model holds no rows to train on; set up the data and make a new {model}.")
    return adata


def training_split(
    rows: AnnData,
    training: TrainingMode,
    target_tissue: str | None,
    n_target_samples: int,
    validation_size: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, drawn target samples repeated, and rows to validate on; see :meth:`TransPlatformer.train`.

    Rows of a drawn sample's group all train: validation must not know them, and what was drawn must not be left out.
    """
    if training == "single":
        raise ValueError(
            "`training='single'` needs a network a tissue: train one on the rows of each, or use "
            "`scgx.tl.Translator('transplatformer', training='single')`."
        )
    groups = rows.obs[GROUP].to_numpy() if GROUP in rows.obs else np.arange(rows.n_obs)
    chosen = training_rows(
        training,
        rows.n_obs,
        tissue=rows.obs[TISSUE].to_numpy() if TISSUE in rows.obs else None,
        target_tissue=target_tissue,
        groups=groups,
        n_target_samples=n_target_samples,
        seed=seed,
    )
    kept = np.isin(groups[chosen.fit], groups[chosen.drawn])
    free = chosen.fit[~kept]
    train, validation = grouped_split(groups[free], validation_size=validation_size, seed=seed)
    return chosen.balanced(np.concatenate([free[train], chosen.fit[kept]])), free[validation]
