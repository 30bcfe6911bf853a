"""Time, memory and precision of a TransPlatformer training step: fused slot attention against plain einsum.

    python benchmarks/transplatformer_cost.py [--quick]

The paper's size: batch 16, 8,565 → 22,794 genes, bottleneck 512, width 16, 512 slots, two encoder layers and 45
concurrent decoders, one shared head. A step is forward, backward and Adam in float32. Steps of both forms alternate in
one process and medians are compared; memory is the peak of a process of its own above what stood before the first
step, weights and data among it. The floor counts the products of the forward and backward pass once, no recomputation.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from unittest.mock import patch

import pandas as pd
import psutil
import torch
from torch import Tensor

from scgx.nn import TransPlatformer, TransPlatformerConfig, _slot_attention, slot_attention


@dataclass(frozen=True)
class Size:
    batch: int
    n: int
    m: int
    bottleneck: int
    slots: int
    width: int = 16
    n_encoders: int = 2

    @property
    def groups(self) -> int:
        return -(-self.m // self.slots)


PAPER = Size(batch=16, n=8565, m=22794, bottleneck=512, slots=512)
QUICK = Size(batch=8, n=2000, m=6000, bottleneck=256, slots=256)
PROFILES = 2225


def einsum_attention(hidden: Tensor, weight: Tensor, *, n_heads: int, softmax: str) -> Tensor:
    """The reference: one shared head, softmax over slots."""
    p = torch.einsum("bgnr,grs->bgns", hidden, weight).softmax(-1)
    return torch.einsum("bgns,bgnr->bgsr", p, hidden)


def form(name: str) -> AbstractContextManager:
    return patch.object(_slot_attention, "slot_attention", einsum_attention) if name == "einsum" else nullcontext()


def build(size: Size) -> tuple[TransPlatformer, Tensor, Tensor]:
    config = TransPlatformerConfig(
        n_source=size.n,
        n_target=size.m,
        bottleneck=size.bottleneck,
        width=size.width,
        n_encoder_layers=size.n_encoders,
        slots=size.slots,
    )
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return TransPlatformer(config), torch.randn(size.batch, size.n), torch.randn(size.batch, size.m)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def training_step(name: str, size: Size) -> Callable[[], None]:
    network, x, y = build(size)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step() -> None:
        with form(name):
            optimizer.zero_grad()
            (network(x) - y).square().mean().backward()
            optimizer.step()

    return step


def step_seconds(size: Size, n_steps: int) -> dict[str, float]:
    steps = {name: training_step(name, size) for name in ("einsum", "fused")}
    for step in steps.values():
        step()  # allocate, compile or load the kernels
    times = [{name: seconds(step) for name, step in steps.items()} for _ in range(n_steps)]
    return {name: median(row[name] for row in times) for name in steps}


def _peak(name: str, size: Size, queue: multiprocessing.Queue) -> None:
    small = Size(batch=1, n=8, m=8, bottleneck=8, slots=8)
    training_step(name, small)()  # libraries and kernels are no part of the step
    step = training_step(name, size)
    before = psutil.Process().memory_info().rss
    for _ in range(2):
        step()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    queue.put(1024 * int(status["VmHWM"].split()[0]) - before)  # ru_maxrss would start at the parent's peak


def peak_gigabytes(name: str, size: Size) -> float:
    """Peak above weights and data in a fresh process: activations, gradients and the state of Adam."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak, args=(name, size, queue))
    process.start()
    peak = queue.get()
    process.join()
    return peak / 2**30


def outputs_and_gradients(name: str, size: Size, dtype: torch.dtype) -> list[Tensor]:
    """One sample at a time: einsum in double precision needs less memory so, and gradients add up to the same."""
    network, x, y = build(size)
    network, outputs = network.to(dtype), []
    rows = 1 if dtype == torch.float64 else size.batch
    with form(name):
        for part, target in zip(x.to(dtype).split(rows), y.to(dtype).split(rows), strict=True):
            outputs.append(network(part))
            ((outputs[-1] - target).square().sum() / y.numel()).backward()
            outputs[-1] = outputs[-1].detach()
    return [torch.cat(outputs), *(parameter.grad for parameter in network.parameters())]


def errors(size: Size) -> dict[str, dict[str, float]]:
    """Largest deviation from einsum in double precision over the largest value; the worst of all parameters."""
    exact = outputs_and_gradients("einsum", size, torch.float64)
    rows = {}
    for name in ("einsum", "fused"):
        found = outputs_and_gradients(name, size, torch.float32)
        output, *gradients = (float((f - e).abs().max() / e.abs().max()) for f, e in zip(found, exact, strict=True))
        rows[name] = {"output_error": output, "gradient_error": max(gradients)}
    return rows


def floor_gflop(size: Size) -> float:
    """Products a step needs: logits and values, and twice as many in the backward pass."""
    units = size.batch * (size.n_encoders + size.groups)  # each from `slots` tokens, as the bottleneck has as many
    attention = 2 * units * size.slots * size.slots * size.width
    feed_forward = units * size.slots * size.width**2
    bottleneck = size.batch * size.n * size.bottleneck
    return 3 * 2 * (attention + feed_forward + bottleneck) / 1e9


def matmul_gflops(n: int = 2048) -> float:
    a, b = torch.ones(n, n), torch.ones(n, n)
    return 2 * n**3 / min(seconds(lambda: a @ b) for _ in range(5)) / 1e9


def scaling(quick: bool) -> pd.DataFrame:
    """Forward and backward of one block, 512 slots a group, each dimension doubled twice."""
    base = {"tokens": 512, "targets": 2048, "batch": 2} if quick else {"tokens": 1024, "targets": 4096, "batch": 4}
    rows = []
    for dimension in base:
        previous = None
        for factor in (1, 2, 4):
            shape = base | {dimension: factor * base[dimension]}
            hidden = torch.ones(shape["batch"], 1, shape["tokens"], 16, requires_grad=True)
            weight = torch.ones(shape["targets"] // 512, 16, 512, requires_grad=True)
            times = [seconds(lambda h=hidden, w=weight: slot_attention(h, w).sum().backward()) for _ in range(6)]
            now = median(times[1:])
            rows.append({"doubled": dimension, **shape, "seconds": now, "ratio": previous and now / previous})
            previous = now
    return pd.DataFrame(rows)


@torch.no_grad()
def inference_seconds(size: Size) -> float:
    network, _, _ = build(size)
    x = torch.zeros(PROFILES, size.n)
    return seconds(lambda: [network(rows) for rows in x.split(size.batch)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small network; nothing is written")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else PAPER
    print(f"{size}, {torch.get_num_threads()} threads", flush=True)

    rate, times, precision = matmul_gflops(), step_seconds(size, 5), errors(size)
    step = pd.DataFrame(
        [
            {"form": name, "seconds": times[name], "peak_extra_gb": peak_gigabytes(name, size), **precision[name]}
            for name in ("einsum", "fused")
        ]
    )
    step["fraction_of_matmul"] = floor_gflop(size) / rate / step["seconds"]
    einsum, fused = step.iloc[0], step.iloc[1]
    summary = {
        "times_faster": einsum["seconds"] / fused["seconds"],
        "memory_ratio": fused["peak_extra_gb"] / einsum["peak_extra_gb"],
        "floor_gflop": floor_gflop(size),
        "matmul_gflops": rate,
        "floor_seconds": floor_gflop(size) / rate,
        "inference_profiles": PROFILES,
        "inference_seconds": inference_seconds(size),
    }
    curve = scaling(arguments.quick)
    print("\n" + step.to_string(index=False, float_format="%.3g"))
    print("\n" + pd.Series(summary).to_string(float_format="%.3g"))
    print("\n" + curve.to_string(index=False, float_format="%.3g"))
    if not arguments.quick:
        tables = {"step": step.to_dict("records"), "scaling": json.loads(curve.to_json(orient="records"))}
        result = {"size": asdict(size), "threads": torch.get_num_threads(), "summary": summary, **tables}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
