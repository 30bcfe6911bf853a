"""Unseen drugs in single cells, simulated from real molecules: Tables 2 and 3 of the paper in form, and what they leave out.

Each condition (drug × line × dose) is scored on its cells. Measured changes are taken against one half of the control cells of
the plate, predictions start from the other half. ``truth`` predicts the true change, ``replicates`` one half of the cells of a
condition the other.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from drugs_networks import predictions
from drugs_rivals import Predicted, closed_forms, conditional_vae, from_bulk, novelty
from drugs_screens import simulated
from drugs_summary import summarise
from drugs_tasks import Task, make_task
from sklearn.decomposition import PCA

from scgx._core.control_cells import changed_cells
from scgx.metrics import e_distance, mean_max_pearson, pearson

SPLITS = ("drug", "scaffold")


def methods_of(task: Task, seed: int, *, quick: bool, all_variants: bool) -> dict[str, Predicted]:
    """Every prediction of a task."""
    out = closed_forms(task, seed) | from_bulk(task, seed)
    if all_variants:
        out["conditional VAE"] = conditional_vae(task, seed, max_epochs=2 if quick else 60)
    out |= predictions(task, seed, quick=quick, all_variants=all_variants)
    return out | {"truth": Predicted(task.truth)}


def score(task: Task, predicted: dict[str, Predicted], seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a condition and method; one row a stratum and method with the paper's distribution metric."""
    true = np.stack([cells.mean(axis=0, dtype=np.float64) for cells in task.cells_of])
    true_control, control = task.controls(task.for_truth), task.controls(task.for_prediction)
    order = np.argsort(-np.abs(true - true_control), axis=1)
    learned = task.cells.X.toarray()
    space = PCA(min(30, learned.shape[1]), random_state=0).fit(learned)
    truth_of = [space.transform(cells) for cells in task.cells_of]
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(cells), 2) for cells in task.cells_of]
    first, second = (np.stack([half[k].mean(axis=0) for half in halves]) for k in (0, 1))
    replicates = Predicted(second - control, [half[1] for half in halves])
    frames, distributions = [], []
    for name, one in (predicted | {"replicates": replicates}).items():
        cells = one.cells or [
            changed_cells(task.for_prediction[plate], change, non_negative=True)
            for plate, change in zip(task.asked["plate"], one.change, strict=True)
        ]
        against = first if name == "replicates" else true
        measured = [space.transform(half[0]) for half in halves] if name == "replicates" else truth_of
        mean = np.stack([some.mean(axis=0, dtype=np.float64) for some in cells])
        values = {"mean": pearson(against, mean)}
        for top in (50, 10):
            values[f"DE{top}"] = pearson(*(np.take_along_axis(side, order[:, :top], 1) for side in (against, mean)))
        values["delta"] = pearson(against - true_control, one.change)
        values["squared_error"] = ((against - true_control - one.change) ** 2).sum(axis=1)
        values["e_distance"] = np.array(
            [e_distance(a, space.transform(b), squared=True) for a, b in zip(measured, cells, strict=True)]
        )
        keys = task.asked[["drug", "cell_line", "dose", "stratum", "effect"]]
        frames.append(keys.assign(method=name, epoch=one.epoch, seconds=one.seconds, **values))
        if name != "replicates":
            distributions += distribution(task, name, cells, seed)
    return pd.concat(frames), pd.DataFrame(distributions)


def distribution(task: Task, name: str, cells: list[np.ndarray], seed: int) -> list[dict[str, Any]]:
    """The paper's metric beside real replicates, a constant and predictions of other conditions, by stratum."""
    rows, controls = [], np.concatenate(list(task.for_prediction.values()))
    for stratum, part in task.asked.reset_index(drop=True).groupby("stratum"):
        where = part.index.to_numpy()
        sides = [(np.concatenate([some[k] for k in where]), np.repeat(where, [len(some[k]) for k in where]))
                 for some in (task.cells_of, cells)]  # fmt: skip
        found = mean_max_pearson(
            sides[0][0], sides[1][0], controls, true_condition=sides[0][1], predicted_condition=sides[1][1], seed=seed
        )
        rows.append({"stratum": stratum, "method": name, **vars(found)})
    return rows


def one_task(split: str, seed: int, quick: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of every method on one simulated screen."""
    task = make_task(simulated(seed, quick=quick), split, seed)
    found = methods_of(task, seed, quick=quick, all_variants=split == "drug")
    table, distributions = score(task, found, seed)
    far = pd.Series(novelty(task)).groupby(task.asked["drug"].to_numpy()).first()
    table["novelty"] = table["drug"].map(far)
    return tuple(frame.assign(split=split, seed=seed) for frame in (table, distributions))


def run(arguments: argparse.Namespace) -> pd.DataFrame:
    """Tables 2 and 3 in form, over all seeds."""
    seeds = arguments.seeds[:1] if arguments.quick else arguments.seeds
    tasks = list(product(SPLITS, seeds))
    arguments_of_tasks = [*zip(*tasks, strict=True), [arguments.quick] * len(tasks)]
    if arguments.workers > 1:
        with ProcessPoolExecutor(arguments.workers) as pool:
            found = list(pool.map(one_task, *arguments_of_tasks))
    else:
        found = list(map(one_task, *arguments_of_tasks))
    scores, distributions = (pd.concat([one[k] for one in found], ignore_index=True) for k in (0, 1))
    return summarise(scores, distributions)
