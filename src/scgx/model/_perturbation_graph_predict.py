from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scgx._core import PerturbationKeys, require_key
from scgx._core.control_cells import read_controls
from scgx._core.predicted_cells import asked_table, predicted_cells, prediction_record

if TYPE_CHECKING:
    from scgx.model._perturbation_graph import PerturbationGraph
    from scgx.module import PerturbationNodes


def predict_cells(model: PerturbationGraph, query: AnnData, conditions: pd.DataFrame | Sequence[str]) -> AnnData:
    """Predicted cells and their record; see :meth:`scgx.model.PerturbationGraph.predict`."""
    controls = read_controls(query, model.columns, model.genes, model._usual, model.layer)
    table = asked_table(conditions, model.columns, list(controls.rows))
    measured = set(model.perturbations)
    described = [] if model._features is None else model._features.index.tolist()
    further = sorted({name for names in table["names"] for name in names} - measured)
    for name in further:
        where = (
            "the perturbations of the screen, nor in `features`"
            if len(described)
            else "the perturbations of the screen"
        )
        require_key([*model.perturbations, *described], name, where, "perturbation")
    names = [*model.perturbations, *further]
    nodes = model._nodes(model.perturbations, np.array(further, dtype=str))
    change = _changes(model, nodes, names, table["names"].tolist(), controls.profile)
    distance = {name: 0.0 if name in measured else 1 - nodes.similarity[k] for k, name in enumerate(names)}
    out = predicted_cells(query, controls, table, change[:, controls.found], model.columns)
    out.uns[PerturbationKeys().uns] = {
        **prediction_record(query, controls, table, model.columns, model.layer),
        "method": np.full(len(table), "perturbation_graph"),
        "change": change[:, controls.found],
        "mean_change": np.tile(model.module.network.center.cpu().numpy(), (len(table), 1))[:, controls.found],
        "novel": np.array(
            [", ".join(name for name in one if name not in measured) for one in table["names"]], dtype=str
        ),
        "novelty": np.array([np.mean([distance[name] for name in one]) for one in table["names"]]),
        "novelty_unit": "mean over parts of 1 - largest similarity",
    }
    return out


def _changes(
    model: PerturbationGraph,
    nodes: PerturbationNodes,
    names: Sequence[str],
    asked: Sequence[tuple[str, ...]],
    profile: dict[str, np.ndarray],
) -> np.ndarray:
    """Changes of the genes of the model, conditions × genes."""
    network = model.module.network.connect(nodes)
    applied = np.array([[name in together for name in names] for together in asked], dtype=np.float32)
    control = np.tile(next(iter(profile.values())).astype(np.float32), (len(asked), 1))
    x = torch.from_numpy(np.hstack([control, applied])).to(model.module.device)
    with torch.no_grad():
        return torch.cat([network(rows) for rows in x.split(64)]).cpu().numpy()
