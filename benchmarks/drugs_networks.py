"""DrugBERT on a task, in the variants of the paper and with its decoders; equal steps with and without pre-training."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
from anndata import AnnData
from drugs_rivals import Predicted
from drugs_screens import KEYS
from drugs_tasks import Task

from scgx.model import DrugBERT

FOUR = ("value", "line", "class", "dose")
PRETRAINING_EPOCHS = 20
#: epochs of fine-tuning after which networks with and without pre-training are compared
EQUAL = (5, 20)
#: of these epochs, the same with and without pre-training
LEARNING_RATE = 1e-3
DEFAULT = "DrugBERT"
SCRATCH = "DrugBERT, no pre-training"


def predictions(task: Task, seed: int, *, quick: bool, all_variants: bool) -> dict[str, Predicted]:
    """By name of the variant; ``@n``: after n epochs of fine-tuning on all conditions, without a choice of epochs."""
    in_cells = task.bulk[task_drugs(task)].copy()
    names = np.random.default_rng(seed).permutation(task.bulk.obs["drug"].unique())
    half = task.bulk[task.bulk.obs["drug"].isin([*names[: len(names) // 2], "control"])].copy()
    variants: dict[str, tuple[AnnData | None, Any, str]] = {
        DEFAULT: (task.bulk, "all", "mlp"),
        SCRATCH: (None, None, "mlp"),
    }
    if all_variants:
        variants |= {
            "DrugBERT, transfer": (in_cells, "all", "mlp"),
            "DrugBERT, whole (value)": (task.bulk, ("value",), "mlp"),
            "DrugBERT, subset (four tasks)": (half, FOUR, "mlp"),
            "DrugBERT, attention": (task.bulk, "all", "attention"),
        }
    if all_variants and seed == 0:  # far slower than all others together
        variants |= {"DrugBERT, lstm": (task.bulk, "all", "lstm")}
    out = {}
    for name, (bulk, tasks, decoder) in variants.items():
        start = time.process_time()
        model = pretrained(task.cells if bulk is None else bulk, tasks, decoder, seed, epochs=1 if quick else None)
        lengths: list[int | None] = [None, *EQUAL] if name in (DEFAULT, SCRATCH) and not quick else [None]
        for length in lengths:
            title = name if length is None else f"{name} @{length}"
            found = fine_tuned(model, task, seed, n_epochs=length, quick=quick)
            out[title] = replace(found, seconds=time.process_time() - start if length is None else float("nan"))
        print(f"seed {seed}, {name}: {out[name].seconds:.0f} CPU s", flush=True)
    return out


def task_drugs(task: Task) -> np.ndarray:
    """Wells of drugs that the single-cell screen has, held-out ones that are in bulk among them, and controls."""
    in_bulk_only = task.asked.loc[task.asked["stratum"] == "in bulk only", "drug"]
    return task.bulk.obs["drug"].isin([*task.cells.obs["drug"].unique(), *in_bulk_only]).to_numpy()


def pretrained(screen: AnnData, tasks: Any, decoder: str, seed: int, *, epochs: int | None) -> DrugBERT:
    """A network that was pre-trained on a bulk screen; without ``tasks`` one of random weights for it."""
    keys = KEYS if tasks is None else KEYS | {"class_key": "mechanism"}
    DrugBERT.setup_anndata(screen, **keys)
    model = DrugBERT(screen, decoder=decoder, seed=seed)
    if tasks is not None:
        model.pretrain(
            tasks=tasks,
            max_epochs=epochs or PRETRAINING_EPOCHS,
            validation_size=0,
            accelerator="cpu",
            seed=seed,
            progress=False,
        )
    return model


def fine_tuned(model: DrugBERT, task: Task, seed: int, *, n_epochs: int | None, quick: bool) -> Predicted:
    """Predictions after fine-tuning; ``n_epochs`` of ``None``: as many as held-out drugs want."""
    own = copy.copy(model)
    DrugBERT.setup_anndata(task.cells, **KEYS)
    options: dict[str, Any] = {"accelerator": "cpu", "seed": seed, "progress": False}
    options |= {"max_epochs": 2} if quick else {} if n_epochs is None else {"max_epochs": n_epochs}
    own.fine_tune(task.cells, **options, **({} if n_epochs is None else {"validation_size": 0, "lr": LEARNING_RATE}))
    asked = task.asked[["drug", "smiles", "cell_line", "dose"]]
    record = own.predict(task.query, asked).uns["perturbation_predicted"]
    if n_epochs is not None:
        return Predicted(np.asarray(record["change"]), epoch=n_epochs)
    chosen = 1 + int(np.argmin(own.history["validation_loss"].to_numpy().ravel()))
    return Predicted(np.asarray(record["change"]), epoch=chosen)
