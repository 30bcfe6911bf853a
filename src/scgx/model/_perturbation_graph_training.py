from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from scgx.model._perturbation_graph_setup import IS_MEAN, LABEL
from scgx.module import APPLIED, CHANGE, PerturbationGraphModule
from scgx.module import PerturbationGraph as Network
from scgx.train import grouped_split

if TYPE_CHECKING:
    from scgx.model._perturbation_graph import PerturbationGraph


@dataclass(frozen=True)
class HeldOut:
    """What is held out to choose the number of epochs.

    Attributes
    ----------
    train, validation, all
        Rows to train on first, to validate on (mean changes only), and to train on in the end. A mean is repeated so that
        it weighs as much as all cells of its condition.
    known, further
        Perturbations that occur in ``train``, and those that do not.
    """

    train: np.ndarray
    validation: np.ndarray
    all: np.ndarray
    known: np.ndarray
    further: np.ndarray


def held_out_rows(
    rows: AnnData, applied: np.ndarray, perturbations: np.ndarray, validation_size: float, seed: int, *, by_name: bool
) -> HeldOut:
    """Hold out perturbed genes and all of their conditions, or conditions where ``by_name`` is false.

    ``applied`` (rows × perturbations) is 1 where one is applied.
    """
    is_applied = applied > 0
    label = rows.obs[LABEL].to_numpy(dtype=str)
    if by_name:
        _, chosen = grouped_split(np.arange(len(perturbations)), validation_size=validation_size, seed=seed)
        tested = np.asarray(is_applied[:, chosen].any(axis=1))
        if tested.all():  # the genes held out are in every condition
            return held_out_rows(rows, applied, perturbations, validation_size, seed, by_name=False)
    else:
        tested = np.zeros(len(label), dtype=bool)
        tested[grouped_split(label, validation_size=validation_size, seed=seed)[1]] = True
    is_mean = rows.obs[IS_MEAN].to_numpy(dtype=bool)
    size = pd.Series(label).map(pd.Series(label).value_counts()).to_numpy() - 1
    weighted = np.repeat(np.arange(len(label)), np.where(is_mean, np.maximum(size, 1), 1))
    occurs = is_applied[~tested].any(axis=0)
    return HeldOut(
        train=weighted[~tested[weighted]],
        validation=np.flatnonzero(tested & is_mean),
        all=weighted,
        known=perturbations[occurs],
        further=perturbations[~occurs],
    )


def fresh_module(
    model: PerturbationGraph,
    known: np.ndarray,
    further: np.ndarray,
    used: np.ndarray,
    loss: dict[str, float],
    seed: int,
) -> PerturbationGraphModule:
    """A network for some of the perturbations that starts from the mean change of the rows ``used``.

    ``.obsm["applied"]`` of the model's rows gets its columns in the order of the network: ``known``, then ``further``.
    """
    rows, nodes = model.adata, model._nodes(known, further)
    rows.obsm[APPLIED] = model._applied[:, pd.Index(model.perturbations).get_indexer([*known, *further])]
    config = replace(model._config, n_trained=len(known), n_coordinates=nodes.coordinates.shape[1])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = Network(config, model._graph, model._embedding)
    used = np.unique(used)
    means = used[rows.obs[IS_MEAN].to_numpy(dtype=bool)[used]]
    network.set_scale(torch.from_numpy(rows.obsm[CHANGE][means]))
    return PerturbationGraphModule(network.connect(nodes), **loss)


def stack_features(features: pd.DataFrame | None) -> dict[str, Tensor]:
    """Features as a tensor to save, bits as bytes."""
    if features is None:
        return {}
    values = features.to_numpy(dtype=np.float32)
    return {"features": torch.from_numpy(values.astype(np.uint8) if np.isin(values, (0, 1)).all() else values)}
