"""Rows of :class:`scgx.model.UGE` split, registered with scvi-tools, and trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField
from scvi.model.base import BaseModelClass

from scgx._core import require_key
from scgx.model._fields import QuietObsmField
from scgx.model._species import Setup, Vocabulary, codes, species_rows
from scgx.module._uge import DESIGN, EXTERNAL, SHAPE, VALUES
from scgx.train import fit, grouped_split

Split = tuple[np.ndarray, np.ndarray]


def pretraining_split(rows: AnnData, species: Sequence[str], validation_size: float, seed: int) -> Split:
    """Rows to train on and to validate on; a ValueError if a species keeps fewer than two."""
    groups = rows.obs["group"].astype(str).to_numpy() if "group" in rows.obs else np.arange(rows.n_obs)
    train, validation = grouped_split(groups, validation_size=validation_size, seed=seed)
    kept = np.bincount(rows.obs["species"].to_numpy()[train], minlength=len(species))
    if kept.min() < 2:
        raise ValueError(
            f"the split leaves {kept.min()} rows of {species[int(kept.argmin())]!r} to train on; at least 2 are needed. "
            "Lower `validation_size`, choose another `seed`, or give more rows."
        )
    return train, validation


def finetune_rows(
    data: Mapping[str, AnnData],
    vocabulary: Vocabulary,
    setup: Setup,
    label_key: str | None,
    value_key: str | None,
    validation_size: float,
    seed: int,
) -> tuple[AnnData, Split, dict[str, Any]]:
    """Rows with a label (or value), their split, and the task; see :meth:`scgx.model.UGE.fine_tune`.

    With no row to spare for validation, all stand on both sides.
    """
    if (label_key is None) == (value_key is None):
        raise ValueError(f"give exactly one of `label_key` and `value_key`; found {label_key!r} and {value_key!r}.")
    argument, key = ("label_key", label_key) if label_key is not None else ("value_key", value_key)
    for species, adata in data.items():
        vocabulary.number(species)
        require_key(adata.obs.columns, key, f".obs of {species!r}", argument)
    rows = species_rows(data, vocabulary, replace(setup, group_key=None, anchor_key=None), task_key=key)
    rows = rows[rows.obs["task"].notna().to_numpy()].copy()
    if rows.n_obs < 2:
        raise ValueError(f"`{argument}`: {rows.n_obs} rows have a value in .obs[{key!r}]; at least 2 are needed.")
    task: dict[str, Any] = {"key": key}
    if label_key is not None:
        numbers, task["classes"] = codes(rows.obs["task"], rows.n_obs)
        if len(task["classes"]) < 2:
            raise ValueError(f"`label_key`: .obs[{key!r}] has one class only, {task['classes'][0]!r}; 2 are needed.")
        rows.obs["task"] = numbers
    else:
        values = pd.to_numeric(rows.obs["task"]).to_numpy(dtype=float)
        task |= {"center": float(values.mean()), "scale": float(values.std()) or 1.0}
        rows.obs["task"] = (values - task["center"]) / task["scale"]
    task["n_outputs"] = len(task.get("classes", [key]))
    if validation_size > 0:
        return rows, grouped_split(np.arange(rows.n_obs), validation_size=validation_size, seed=seed), task
    every = np.arange(rows.n_obs)
    return rows, (every, every), task


def fit_rows(model: BaseModelClass, rows: AnnData, split: Split, **options: Any) -> None:
    """Train the module on rows that :func:`scgx.model._species.species_rows` gave; options of :func:`scgx.train.fit`."""
    anchor, _ = codes(rows.obs.get("anchor"), rows.n_obs)
    task = rows.obs["task"].to_numpy(dtype=np.float32) if "task" in rows.obs else np.zeros(rows.n_obs)
    rows.obsm[DESIGN] = np.column_stack([rows.obs["species"], anchor, task]).astype(np.float32)
    fields = [LayerField(VALUES, None, is_count_data=False), QuietObsmField(DESIGN), QuietObsmField(SHAPE)]
    if EXTERNAL in rows.obsm:
        fields.append(QuietObsmField(EXTERNAL))
    manager = AnnDataManager(fields, setup_method_args=model._get_setup_method_args(cls=type(model), adata=None))
    manager.register_fields(rows)
    type(model).register_manager(manager)
    summary = model._model_summary_string
    BaseModelClass.__init__(model, rows)  # the one public way to other rows, with a history of their own
    model._model_summary_string = summary
    model.module.train()  # lightning leaves a module that was trained before in evaluation mode
    fit(model, split, **options)
