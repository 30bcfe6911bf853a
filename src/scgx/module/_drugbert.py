from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor
from torch.nn import functional as F

from scgx.nn import DrugBERT

Task = Literal["value", "line", "class", "dose", "response"]
#: what a profile of which some genes are hidden must tell (the paper), and what a condition must tell
TASKS: tuple[Task, ...] = ("value", "line", "class", "dose", "response")


class DrugBERTModule(BaseModuleClass):
    """:class:`scgx.nn.DrugBERT` with the losses of its tasks, each of weight 1.

    ``"value"``: squared error of hidden changes, in units of the usual size of a change; ``"line"`` and ``"class"``: cross
    entropy; ``"dose"``: squared error of log10 dose; these read a profile with hidden genes, and are not told the
    condition. ``"response"``: squared error of all changes, from control and condition alone; fine-tuning has this task only.

    Parameters
    ----------
    network
        Its scale set.
    tasks
        Some of :data:`TASKS`.
    """

    def __init__(self, network: DrugBERT, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.network, self.tasks = network, tuple(tasks)

    def inference(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Predicted changes, and what the latent vector tells."""
        out = {}
        if set(self.tasks) - {"response"}:
            out["value"], latent = self.network(batch["control"], batch["change"], batch["hidden"])
            out |= self.network.tell(latent)
        if "response" in self.tasks:
            condition = (batch["drug"], batch["line"], batch["log_dose"])
            out["response"] = self.network(batch["control"], condition=condition)[0]
        return out

    def generative(self) -> dict[str, Tensor]:
        """Nothing: the network is no generative model."""
        return {}

    def loss(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor], generative_outputs: dict[str, Tensor]
    ) -> LossOutput:
        """Sum of the losses of the tasks; beside it squared errors in the unit of the data, and accuracies."""
        scale, losses, metrics = self.network.scale, [], {}
        for task in self.tasks:
            out = inference_outputs[task]
            if task in ("value", "response"):
                wrong = (out - tensors["change"]).square()
                error = wrong[tensors["hidden"]].mean() if task == "value" else wrong.mean()
                losses.append(error / scale.square())
            elif task == "dose":
                error = (out - tensors["log_dose"]).square().mean()
                losses.append(error)
            else:
                known = tensors[task] >= 0
                losses.append(
                    F.cross_entropy(out, tensors[task], ignore_index=-1, reduction="sum") / known.sum().clamp(1)
                )
                error = (out.argmax(1) == tensors[task])[known].float().mean()
            metrics[task] = error.detach()
        return LossOutput(loss=torch.stack(losses).sum(), n_obs_minibatch=len(tensors["change"]), extra_metrics=metrics)

    def _get_inference_input(self, tensors: dict[str, Tensor], full_forward_pass: bool = True) -> dict[str, object]:
        return {"batch": tensors}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return {}
