from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from scgx.module import TASKS, DrugBERT, DrugBERTConfig, DrugBERTModule

ROWS, GENES, BITS = 6, 5, 8


@pytest.fixture
def network() -> DrugBERT:
    torch.default_generator.manual_seed(0)
    config = DrugBERTConfig(GENES, lines=("a", "b"), classes=("x", "y", "z"), n_bits=BITS, width=8, depth=1, n_heads=2)
    network = DrugBERT(config).eval()
    network.set_scale(torch.randn(9, GENES), 2 * torch.randn(9, GENES), fresh=True)
    with torch.no_grad():
        network.logit_of_line.normal_()
    return network


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    torch.default_generator.manual_seed(1)
    return {
        "control": torch.randn(ROWS, GENES),
        "change": torch.randn(ROWS, GENES),
        "hidden": torch.rand(ROWS, GENES) < 0.4,
        "drug": (torch.rand(ROWS, BITS) < 0.5).float(),
        "line": torch.tensor([0, 1, 1, 0, 1, 0]),
        "class": torch.tensor([2, -1, 0, 1, -1, 2]),
        "log_dose": torch.randn(ROWS),
    }


def test_only_hidden_positions_count(network: DrugBERT, batch: dict[str, torch.Tensor]) -> None:
    module = DrugBERTModule(network, ("value",)).eval()
    loss = module(batch)[2].loss
    predicted = network(batch["control"], batch["change"], batch["hidden"])[0]
    wrong = ((predicted - batch["change"]) ** 2)[batch["hidden"]].mean()
    torch.testing.assert_close(loss, wrong / network.scale**2)
    out = module.inference(batch)
    further = batch | {"change": torch.where(batch["hidden"], batch["change"], 100.0)}
    torch.testing.assert_close(module.loss(further, out, {}).loss, loss)


def test_the_loss_is_the_sum_of_its_tasks(network: DrugBERT, batch: dict[str, torch.Tensor]) -> None:
    alone = {task: DrugBERTModule(network, (task,)).eval()(batch)[2] for task in TASKS}
    together = DrugBERTModule(network, TASKS).eval()(batch)[2]
    torch.testing.assert_close(together.loss, sum(out.loss for out in alone.values()))
    for task in TASKS:
        torch.testing.assert_close(together.extra_metrics[task], alone[task].extra_metrics[task])


def test_a_class_that_is_not_known_counts_neither_in_loss_nor_in_accuracy(
    network: DrugBERT, batch: dict[str, torch.Tensor]
) -> None:
    out = DrugBERTModule(network, ("class",)).eval()(batch)[2]
    logits = network.tell(network(batch["control"], batch["change"], batch["hidden"])[1])["class"]
    known = [0, 2, 3, 5]
    torch.testing.assert_close(out.loss, F.cross_entropy(logits[known], batch["class"][known]))
    right = (logits.argmax(1) == batch["class"])[known].float().mean()
    torch.testing.assert_close(out.extra_metrics["class"], right)


def test_the_response_is_told_from_control_and_condition_alone(
    network: DrugBERT, batch: dict[str, torch.Tensor]
) -> None:
    module = DrugBERTModule(network, ("response",)).eval()
    out = module.inference(batch)["response"]
    other = module.inference(batch | {"change": batch["change"] + 1, "hidden": ~batch["hidden"]})["response"]
    torch.testing.assert_close(out, other)
    for part in ("control", "drug", "log_dose"):
        assert (module.inference(batch | {part: 1 - batch[part]})["response"] - out).abs().max() > 1e-4


def test_no_task_but_response_reads_the_condition(network: DrugBERT, batch: dict[str, torch.Tensor]) -> None:
    module = DrugBERTModule(network, ("value", "line", "class", "dose")).eval()
    out = module.inference(batch)
    other = module.inference(
        batch | {"drug": 1 - batch["drug"], "line": 1 - batch["line"], "log_dose": batch["log_dose"] + 1}
    )
    for task in ("value", "line", "class", "dose"):
        torch.testing.assert_close(out[task], other[task])
