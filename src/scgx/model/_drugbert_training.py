"""How :class:`scgx.model.DrugBERT` is trained: the network for a screen, what is held out, how many epochs."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch

from scgx._core import match_genes
from scgx.model._drugbert_batches import Split, screen_batches
from scgx.model._drugbert_interval import held_out_residuals
from scgx.model._drugbert_rows import Screen
from scgx.module import TASKS, DrugBERT, DrugBERTModule, Task
from scgx.train import Loop, fit_batches, grouped_split

#: metric of each task, as in Table 1 of the paper
_METRICS: dict[Task, str] = {
    "line": "cell_accuracy",
    "class": "drug_class_accuracy",
    "dose": "dose_rmse",
    "value": "mask_rmse",
    "response": "response_rmse",
}
_NEEDS: dict[Task, str] = {
    "line": "at least two cell lines: `context_key`",
    "class": "at least two classes of drugs: `class_key`",
    "dose": "at least two doses: `dose_key`",
}


@dataclass(frozen=True)
class Options:
    """How to train; see :meth:`scgx.model.DrugBERT.pretrain`."""

    max_epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    validation_size: float
    patience: int
    seed: int
    mask_ratio: float
    progress: bool


@dataclass(frozen=True)
class Trained:
    """What comes out of training.

    Attributes
    ----------
    module
        Trained on all rows.
    history
        Metrics of each epoch, of the first training where drugs were held out.
    split
        Rows that were trained on and held out in it.
    residuals
        Measured less predicted change of held-out rows, by drug; none without the task ``"response"``.
    """

    module: DrugBERTModule
    history: dict[str, list[float]]
    split: Split
    residuals: pd.DataFrame


def tasks_of(tasks: Literal["all"] | Sequence[Task], screen: Screen) -> tuple[Task, ...]:
    """Tasks asked for; all that the screen allows for ``"all"``.

    Raises
    ------
    ValueError
        If there is none, one is unknown, or needs what the screen lacks.
    """
    table = screen.table
    classes = table.loc[table["drug_class"] != "", "drug_class"]
    lacking = {
        "line": table["context"].nunique() < 2,
        "class": classes.nunique() < 2,
        "dose": table["log_dose"].nunique() < 2,
    }
    if tasks == "all":
        return tuple(task for task in TASKS if not lacking.get(task, False))
    asked = tuple(tasks)
    if not asked or not set(asked) <= set(TASKS):
        raise ValueError(f"`tasks` must be 'all' or some of {TASKS}; found {tasks!r}.")
    for task in asked:
        if lacking.get(task, False):
            raise ValueError(
                f"`tasks` has {task!r}, which needs {_NEEDS[task]}; leave it out, or set the screen up so."
            )
    return tuple(task for task in TASKS if task in asked)


def network_for(network: DrugBERT, genes: np.ndarray, screen: Screen, *, fresh: bool, seed: int) -> DrugBERT:
    """A copy of a network of ``genes`` for the genes, lines and classes of a screen; lines that it knows stay.

    Raises
    ------
    ValueError
        If less than half of the genes of a network that is not ``fresh`` are in the screen.
    """
    if not fresh:
        match_genes(pd.Index(screen.genes), pd.Index(genes), what="`var_names` of the screen")
    known = () if fresh else network.config.lines
    further = sorted(set(screen.table["context"]) - set(known))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        place = pd.Index(genes).get_indexer(screen.genes)
        return network.rearranged(place, [*known, *further], screen.classes() or network.config.classes)


def train_on(
    network: DrugBERT,
    screen: Screen,
    tasks: tuple[Task, ...],
    options: Options,
    *,
    fresh: bool,
    device: torch.device,
) -> Trained:
    """Choose the number of epochs on held-out drugs, then train on all; with nothing held out train so many."""
    everything = (np.arange(len(screen.unit)), np.zeros(0, dtype=int))

    def run(split: Split, max_epochs: int, patience: int | None) -> tuple[DrugBERTModule, dict[str, list[float]]]:
        module = DrugBERTModule(deepcopy(network), tasks).to(device)
        change = torch.from_numpy(screen.change[split[0]])
        module.network.set_scale(torch.from_numpy(screen.controls).to(device), change.to(device), fresh=fresh)
        batches = screen_batches(
            screen,
            network.config,
            split,
            batch_size=options.batch_size,
            mask_ratio=options.mask_ratio,
            seed=options.seed,
        )
        loop = Loop(max_epochs, options.lr, options.weight_decay, patience, options.seed, progress=options.progress)
        return module, fit_batches(module, batches, loop)

    if options.validation_size == 0:
        module, history = run(everything, options.max_epochs, None)
        return Trained(module, history, everything, held_out_residuals(module, screen, everything[1]))
    drugs = screen.table["label"].to_numpy()
    split = grouped_split(drugs, validation_size=options.validation_size, seed=options.seed)
    tested, history = run(split, options.max_epochs, options.patience)
    rows = split[1] if "response" in tasks else everything[1]
    residuals = held_out_residuals(tested, screen, rows)
    module, _ = run(everything, int(np.argmin(history["validation_loss"])) + 1, None)
    return Trained(module, named_metrics(history), split, residuals)


def named_metrics(history: dict[str, list[float]]) -> dict[str, list[float]]:
    """Mean squared errors as their roots, and all under the names of the paper."""
    named = {name: values for name, values in history.items() if name.endswith("loss")}
    for task, metric in _METRICS.items():
        values = history.get(f"validation_{task}")
        if values is not None:
            named[f"validation_{metric}"] = np.sqrt(values).tolist() if metric.endswith("rmse") else values
    return named


def metrics_table(history: dict[str, list[float]], screen: Screen, split: Split) -> pd.DataFrame:
    """Metrics of the epoch that was chosen, on held-out drugs, beside what a constant reaches there."""
    best = int(np.argmin(history["validation_loss"]))
    constant = _constants(screen, *split)
    rows = {
        metric: {"value": history[f"validation_{metric}"][best], "constant": constant[metric]}
        for metric in _METRICS.values()
        if f"validation_{metric}" in history
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _constants(screen: Screen, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    change, dose = screen.change, screen.table["log_dose"].to_numpy()
    error = float(np.sqrt(np.square(change[test] - change[train].mean(axis=0)).mean()))
    constants = {
        "mask_rmse": error,
        "response_rmse": error,
        "dose_rmse": float(np.sqrt(np.square(dose[test] - dose[train].mean()).mean())),
    }
    for column, metric in (("context", "cell_accuracy"), ("drug_class", "drug_class_accuracy")):
        values = screen.table[column]
        known = values[values != ""] if column == "drug_class" else values
        if len(known):
            commonest = known.reindex(train).mode().iloc[0]
            constants[metric] = float((known.reindex(test).dropna() == commonest).mean())
    return constants
