"""The state of a training as one safetensors file, so that it goes on after a stop as if there had been none."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

_FORMAT = 1


@dataclass
class TrainingState:
    """How far a training has come."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    """Batches done of the epoch."""
    loss_sum: float = 0.0
    n_rows: int = 0
    """Rows that ``loss_sum`` is over."""
    best: float | None = None
    best_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often the state is written.

    Attributes
    ----------
    directory
        Gets ``training.safetensors``, which is replaced at once: a stop while writing leaves the old one.
    identity
        Plain values that must be the same when training goes on.
    every
        Steps between two checkpoints within an epoch; each epoch ends with one.
    """

    directory: Path
    identity: dict[str, Any]
    every: int = 1000

    @property
    def file(self) -> Path:
        """The checkpoint."""
        return self.directory / "training.safetensors"

    def write(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: TrainingState,
        best: dict[str, Tensor] | None,
    ) -> None:
        """Replace the checkpoint."""
        tensors = {f"model/{name}": weight for name, weight in module.state_dict().items()}
        tensors |= {f"best/{name}": weight for name, weight in (best or {}).items()}
        for name, parameter in module.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{name}/{key}"] = torch.as_tensor(value)
        record = {"format": _FORMAT, "identity": self.identity, "state": asdict(state)}
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        save_file(
            {name: x.detach().cpu().contiguous() for name, x in tensors.items()}, new, {"scgx": json.dumps(record)}
        )
        os.replace(new, self.file)

    def read(
        self, module: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[TrainingState, dict[str, Tensor] | None]:
        """Put weights and optimiser in the state of the checkpoint; returns the rest and the best weights.

        Raises
        ------
        ValueError
            If the file is damaged, or from a training of another kind.
        """
        try:
            with safe_open(self.file, framework="pt") as file:
                record = json.loads((file.metadata() or {})["scgx"])
                self._compare(record)
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{self.file} is damaged or no checkpoint: {error}. Delete it to start anew.") from error
        module.load_state_dict(_under("model/", tensors))
        for name, parameter in module.named_parameters():
            kept = _under(f"optimizer/{name}/", tensors)
            if kept:  # the count of steps stays on the CPU
                optimizer.state[parameter] = {k: x.to(parameter.device) if x.ndim else x for k, x in kept.items()}
        return TrainingState(**record["state"]), _under("best/", tensors) or None

    def _compare(self, record: dict[str, Any]) -> None:
        if record["format"] != _FORMAT:
            raise ValueError(f"{self.file} has format {record['format']}; this version reads {_FORMAT}. Start anew.")
        old, new = record["identity"], json.loads(json.dumps(self.identity))
        differ = [
            f"{key}: {old.get(key)!r} then, {new.get(key)!r} now" for key in old | new if old.get(key) != new.get(key)
        ]
        if differ:
            raise ValueError(
                f"{self.file} is of another training ({'; '.join(differ)}). Go on with the same model, data and arguments, or "
                "choose another directory."
            )


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
