"""Training on batches that are made when needed, with exact resumption.

scvi's runner wants rows of a fixed width, and its checkpoints are pickles; here batches are padded cells of any length, and
a checkpoint holds numbers alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor
from tqdm import tqdm

from scgx.train._checkpoint import Checkpoint, TrainingState

Load = Callable[[np.ndarray, torch.Generator], dict[str, Tensor]]
_STEPS_A_SEED = 1 << 40


@dataclass(frozen=True)
class Batches:
    """What to train on.

    Attributes
    ----------
    of_epoch
        Rows of each batch of an epoch, the same whenever asked for this epoch.
    validation
        Rows of each batch to validate on; may be empty.
    load
        Batch of rows; whatever it draws comes from the generator.
    """

    of_epoch: Callable[[int], list[np.ndarray]]
    validation: list[np.ndarray]
    load: Load


@dataclass(frozen=True)
class Loop:
    """How to train; see :meth:`scgx.model.XTrimoGene.train`."""

    max_epochs: int
    lr: float
    weight_decay: float
    patience: int | None
    seed: int
    bf16: bool = False
    progress: bool = True
    max_seconds: float | None = None


def fit_batches(
    module: BaseModuleClass, batches: Batches, loop: Loop, *, checkpoint: Checkpoint | None = None, resume: bool = False
) -> dict[str, list[float]]:
    """Train ``module`` in place; losses of each epoch. Global random generators are left as they were.

    With ``patience`` the weights of the epoch with the least validation loss stay, else the last ones. All that is drawn depends
    on seed and step alone, so a training that goes on from a checkpoint ends with the weights of one that never stopped.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": loop.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=loop.lr, betas=(0.9, 0.98))
    state, best = TrainingState(), None
    if resume and checkpoint is not None and checkpoint.file.is_file():
        state, best = checkpoint.read(module, optimizer)
    started = time.monotonic()
    cuda = [module.device] if module.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), tqdm(disable=not loop.progress, desc="training") as bar:
        while state.epoch < loop.max_epochs and not _stops(state, loop, started):
            plan = batches.of_epoch(state.epoch)
            bar.reset(len(plan))
            bar.update(state.batch)
            module.train()
            warm_up = min(1000, len(plan))
            for rows in plan[state.batch :]:
                optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = loop.lr * min(
                    1.0, (state.step + 1) / warm_up
                )
                _step(module, optimizer, batches.load, rows, state, loop)
                bar.update()
                over = _time_is_up(loop, started)
                # a resumed training goes on within the epoch that the time broke off
                if checkpoint is not None and (over or state.step % checkpoint.every == 0):
                    checkpoint.write(module, optimizer, state, best)
                if over:
                    break
            whole = state.batch == len(plan)
            best = _end_epoch(module, batches, state, loop, best)
            bar.set_description(_progress(state, loop))
            if checkpoint is not None and whole:
                checkpoint.write(module, optimizer, state, best)
    if best is not None:
        module.load_state_dict(best)
    module.eval()
    return state.history


def _step(
    module: BaseModuleClass,
    optimizer: torch.optim.Optimizer,
    load: Load,
    rows: np.ndarray,
    state: TrainingState,
    loop: Loop,
) -> None:
    loss = _loss(module, load, rows, loop.seed * _STEPS_A_SEED + state.step, loop).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    state.step, state.batch = state.step + 1, state.batch + 1
    state.loss_sum, state.n_rows = state.loss_sum + float(loss.detach()) * len(rows), state.n_rows + len(rows)


def _loss(module: BaseModuleClass, load: Load, rows: np.ndarray, seed: int, loop: Loop) -> LossOutput:
    generator = torch.Generator().manual_seed(seed)
    torch.default_generator.manual_seed(seed)  # dropout; the caller's state is put back after training
    if module.device.type == "cuda":
        torch.cuda.manual_seed(seed)
    batch = {name: x.to(module.device, non_blocking=True) for name, x in load(rows, generator).items()}
    with torch.autocast(module.device.type, torch.bfloat16, enabled=loop.bf16):
        return module(batch)[2]


@torch.no_grad()
def _validate(module: BaseModuleClass, batches: Batches, loop: Loop) -> dict[str, float]:
    """Losses with what is hidden the same every epoch, mean over rows."""
    module.eval()
    sums: dict[str, float] = {}
    n = sum(map(len, batches.validation))
    for number, rows in enumerate(batches.validation):
        losses = _loss(module, batches.load, rows, number, loop)
        for name, value in {"loss": losses.loss, **losses.extra_metrics}.items():
            sums[f"validation_{name}"] = sums.get(f"validation_{name}", 0.0) + float(value) * len(rows) / n
    return sums


def _end_epoch(
    module: BaseModuleClass, batches: Batches, state: TrainingState, loop: Loop, best: dict[str, Tensor] | None
) -> dict[str, Tensor] | None:
    values = {"train_loss": state.loss_sum / max(state.n_rows, 1), **_validate(module, batches, loop)}
    for name, value in values.items():
        state.history.setdefault(name, []).append(value)
    state.epoch, state.batch, state.loss_sum, state.n_rows = state.epoch + 1, 0, 0.0, 0
    score = values.get("validation_loss", values["train_loss"])
    if loop.patience is not None and (state.best is None or score < state.best):
        state.best, state.best_epoch = score, state.epoch
        return {name: weight.clone() for name, weight in module.state_dict().items()}
    return best


def _stops(state: TrainingState, loop: Loop, started: float) -> bool:
    if _time_is_up(loop, started):
        return True
    return loop.patience is not None and state.epoch - state.best_epoch >= loop.patience


def _time_is_up(loop: Loop, started: float) -> bool:
    return loop.max_seconds is not None and time.monotonic() - started > loop.max_seconds


def _progress(state: TrainingState, loop: Loop) -> str:
    losses = ", ".join(f"{name} {values[-1]:.3f}" for name, values in state.history.items())
    return f"epoch {state.epoch}/{loop.max_epochs}: {losses}"
