"""What one cell costs: dense transformer, encoder-only linear attention, XTrimoGene with the paper's decoder and with ours.

    OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE python benchmarks/xtrimogene_cost.py [--quick]

All have the width and heads of the 10M size, its six layers (XTrimoGene: four in the encoder, two in the decoder), about 10 M
parameters, the same embedding of genes and values, and 19,264 genes. Of a cell with 90 % zeros 30 % of the expressed genes
and as many zeros are hidden. The first two read all genes in every layer and predict from there. Linear attention is the
Performer's: softmax kernel, D log D random features a head. A step is the forward and backward pass of one cell in float32.

Steps of the forms alternate in one process (A, B, C, A, B, C, …) and medians are taken: of the processor time of all threads,
which other work on the machine changes little, and of the time on the clock, which it does. The first two forms are
measured with no layer and with one, and their six are extrapolated: they are alike, and six at once take minutes. The dense
layer alone is measured only once. Memory is the peak of a process of its own above what stood before the step. FLOPs are
those of the matrix products and of attention, counted while the step ran. Everything is written after each part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import scgx
from scgx.nn import SIZES, XTrimoGene, XTrimoGeneConfig, XTrimoGeneSize, biased_mask, length_buckets
from scgx.nn._xtrimogene_attention import Layer
from scgx.nn._xtrimogene_buckets import padding_share
from scgx.nn._xtrimogene_linear_attention import LinearLayer
from scgx.nn._xtrimogene_values import AutoDiscretization

GENES, ZEROS = 19264, 0.9
DENSE, LINEAR, PAPER, OURS, SELF = "dense", "linear encoder", "paper's decoder", "ours", "ours, self"
NO_LAYER, DENSE_LAYER, LINEAR_LAYER = "no layer", "dense layer", "linear layer"  # what the first two are made of
DECODERS = {PAPER: "linear", OURS: "cross", SELF: "self"}
LAYERS = SIZES["10M"].n_layers + SIZES["10M"].decoder_layers
Step = Callable[[], None]


class EveryGene(nn.Module):
    """Encoder only: all genes are tokens in each layer, zeros too, hidden genes have a mask for a value."""

    def __init__(self, layer: type[Layer], n_genes: int, n_layers: int) -> None:
        super().__init__()
        size = SIZES["10M"]
        self.gene = nn.Embedding(n_genes, size.width)
        self.value = AutoDiscretization(size.width, 100)
        self.masked = nn.Parameter(torch.randn(size.width))
        self.layers = nn.ModuleList(layer(size.width, size.n_heads) for _ in range(n_layers))
        self.head = nn.Sequential(nn.LayerNorm(size.width), nn.Linear(size.width, 1))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        n = self.gene.num_embeddings
        value = torch.zeros(1, n).scatter(1, batch["genes"], batch["values"])
        hidden = torch.zeros(1, n, dtype=torch.bool).scatter(1, batch["target_genes"], True)
        x = self.gene.weight + torch.where(hidden[..., None], self.masked, self.value(value))
        for layer in self.layers:
            x = layer(x, torch.tensor([n]))
        return self.head(x)[0, batch["target_genes"][0]]


def cell(n_genes: int, zeros: float, seed: int = 0) -> dict[str, Tensor]:
    """One cell with hidden genes."""
    generator = torch.Generator().manual_seed(seed)
    n = round((1 - zeros) * n_genes)
    genes = torch.randperm(n_genes, generator=generator)[None, :n]
    batch = {"genes": genes, "values": 3 * torch.rand(1, n, generator=generator), "lengths": torch.tensor([n])}
    batch |= {"unit": torch.ones(1), "metadata": torch.zeros(1, 0, dtype=torch.long)}
    return biased_mask(batch, n_genes, generator=generator)


def build(form: str, n_genes: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        if form in DECODERS:
            return XTrimoGene(XTrimoGeneConfig(n_genes, SIZES["10M"], decoder=DECODERS[form]))
        return EveryGene(LinearLayer if form == LINEAR_LAYER else Layer, n_genes, int(form != NO_LAYER))


def step_of(form: str, n_genes: int, zeros: float) -> Step:
    network, batch = build(form, n_genes), cell(n_genes, zeros)

    def step() -> None:
        network.zero_grad()
        if form in DECODERS:
            out = network(batch, batch["target_genes"], batch["target_lengths"])
            loss = network.head.loss(out, batch["target_values"]).mean()
        else:
            loss = (network(batch)[:, 0] - batch["target_values"][0]).square().mean()
        loss.backward()

    return step


def seconds(call: Step) -> dict[str, float]:
    processor, clock = time.process_time(), time.perf_counter()
    call()
    return {"processor_seconds": time.process_time() - processor, "clock_seconds": time.perf_counter() - clock}


def alternating(forms: list[str], n_genes: int, zeros: float, n_rounds: int) -> pd.DataFrame:
    """Medians over rounds, forms × seconds."""
    for form in forms:
        step_of(form, 64, 0.5)()  # libraries and kernels are no part of a step
    steps = {form: step_of(form, n_genes, zeros) for form in forms}
    rounds = [pd.DataFrame({form: seconds(step) for form, step in steps.items()}).T for _ in range(n_rounds)]
    return pd.concat(rounds, keys=range(n_rounds)).groupby(level=1, sort=False).median()


def resident(field: str) -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status[field].split()[0])


def alone(target: Callable[..., Any], *arguments: Any) -> Any:
    """What ``target`` returns in a process of its own, from a server that has only imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pandas", "scipy.sparse", "scgx.nn", "torch.utils.flop_counter"])
    with context.Pool(1) as pool:
        return pool.apply(target, arguments)


def _sdpa(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    return 4 * int(np.prod(q[:3])) * k[2] * q[3]


def _sdpa_backward(grad: Any, q: Any, k: Any, v: Any, *_: Any, **__: Any) -> int:
    return int(2.5 * _sdpa(q, k, v))  # the weights are computed again


def measured(form: str, n_genes: int, zeros: float) -> dict[str, float]:
    """FLOPs, seconds and peak memory of the first step, with ``alone``."""
    aten = torch.ops.aten
    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: _sdpa,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _sdpa_backward,
    }
    with FlopCounterMode(display=False, custom_mapping=mapping):
        step_of(form, 64, 0.5)()  # libraries and kernels are no part of the step
    step = step_of(form, n_genes, zeros)
    before = psutil.Process().memory_info().rss
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        took = seconds(step)
    peak = resident("VmHWM") - before
    return {
        "parameters": sum(x.numel() for x in build(form, n_genes).parameters()),
        "gflop": counter.get_total_flops() / 1e9,
        "peak_extra_gb": peak / 2**30,
        **took,
    }


def context_embeddings(n_genes: int, name: str) -> dict[str, float]:
    """Vectors of all genes in one cell with 2,001 expressed ones; resident memory at the peak, libraries counted."""
    from scgx.module import XTrimoGeneModule  # most processes here need no scvi

    libraries = resident("VmRSS")
    module = XTrimoGeneModule(XTrimoGeneConfig(n_genes, SIZES[name])).eval()
    n = min(2001, n_genes // 2)
    batch = {"genes": torch.randperm(n_genes)[None, :n], "values": 3 * torch.rand(1, n)}
    batch |= {"lengths": torch.tensor([n]), "unit": torch.ones(1), "metadata": torch.zeros(1, 0, dtype=torch.long)}
    start = time.process_time()
    with torch.inference_mode():
        shape = module.context(batch, torch.arange(n_genes)).shape
    return {
        "parameters": sum(x.numel() for x in module.parameters()),
        "genes": shape[1],
        "width": shape[2],
        "seconds": time.process_time() - start,
        "libraries_gb": libraries / 2**30,
        "peak_resident_gb": resident("VmHWM") / 2**30,
    }


def training_memory(n_cells: int, n_genes: int, expressed: int = 200) -> dict[str, float]:
    """Peak of one epoch on a CSR matrix above what stood before, matrix not counted; a tiny network, so that data show."""
    import anndata as ad

    from scgx.model import XTrimoGene as Model

    rng = np.random.default_rng(0)
    genes = np.sort(
        rng.integers(0, n_genes // expressed, (n_cells, expressed)) + np.arange(expressed) * (n_genes // expressed)
    )
    counts = rng.integers(1, 5, genes.shape).astype(np.float32)
    start = np.arange(n_cells + 1) * expressed
    X = sparse.csr_matrix((counts.ravel(), genes.ravel().astype(np.int32), start), shape=(n_cells, n_genes))
    del genes, counts
    adata = ad.AnnData(X)
    Model.setup_anndata(adata)
    model = Model(adata, size=XTrimoGeneSize(16, 1, 2, 16, 1, 2))
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the data
    took = seconds(lambda: model.train(1, accelerator="cpu", batch_size=64, progress=False))
    return {
        "cells": n_cells,
        "csr_gb": (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**30,
        "dense_gb": 4 * n_cells * n_genes / 2**30,
        "peak_extra_gb": (resident("VmHWM") - before) / 2**30,
        **took,
    }


def padding() -> dict[str, dict[str, float]]:
    """Share of computed tokens that is padding, on cells of Kang et al. with all their genes."""
    lengths = scgx.datasets.load("kang2018_ifnb").X.getnnz(axis=1)
    rng, table = np.random.default_rng(0), {}
    for batch_size in (8, 16, 32, 64):
        order = rng.permutation(len(lengths))
        random = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        table[str(batch_size)] = {
            "random order": padding_share(lengths, random),
            "training batches": padding_share(lengths, length_buckets(lengths, batch_size, rng=rng)),
            "prediction batches": padding_share(lengths, length_buckets(lengths, batch_size)),
        }
    return table


class Report:
    """Tables, printed and written as they come."""

    def __init__(self, output: Path | None) -> None:
        self.output, self.content = output, {"threads": torch.get_num_threads(), "genes": GENES, "zeros": ZEROS}

    def add(self, name: str, table: dict[str, Any]) -> None:
        self.content[name] = table
        tabular = all(isinstance(row, dict) for row in table.values())
        shown = pd.DataFrame(table).T if tabular else pd.Series(table)
        print(f"\n{name}\n{shown.to_string(float_format='{:.4g}'.format)}", flush=True)
        if self.output is not None:
            self.output.write_text(json.dumps(self.content, indent=1) + "\n")


def cost(n_genes: int, n_rounds: int) -> dict[str, dict[str, float]]:
    """Each form alone for its memory and FLOPs, then those that take seconds side by side for their time."""
    forms = [NO_LAYER, LINEAR_LAYER, PAPER, OURS, SELF]
    table = pd.DataFrame({form: alone(measured, form, n_genes, ZEROS) for form in (*forms, DENSE_LAYER)}).T
    table.update(alternating(forms, n_genes, ZEROS, n_rounds))
    for form, layer in ((DENSE, DENSE_LAYER), (LINEAR, LINEAR_LAYER)):
        table.loc[form] = table.loc[NO_LAYER] + LAYERS * (table.loc[layer] - table.loc[NO_LAYER])
    return table.loc[[DENSE, LINEAR, PAPER, SELF, OURS]].T.to_dict()


def ratios(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """How many times less one of our steps costs."""
    frame = pd.DataFrame(table).T
    return (frame / frame.loc[OURS]).drop(index=[OURS, SELF], columns="parameters").T.to_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few genes and cells; nothing is written")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    quick = arguments.quick
    n, n_rounds = (1204, 1) if quick else (GENES, 3)
    report = Report(None if quick else arguments.output)

    tables = {}
    for n_genes in (n, n // 4):
        tables[n_genes] = cost(n_genes, n_rounds)
        report.add(f"cost, {n_genes} genes", tables[n_genes])
        report.add(f"ours is this many times cheaper, {n_genes} genes", ratios(tables[n_genes]))
    report.add("growth with 4 times the genes", (pd.DataFrame(tables[n]) / pd.DataFrame(tables[n // 4])).to_dict())
    report.add("context embeddings", alone(context_embeddings, n, "3M" if quick else "100M"))
    cells = (500, 1000) if quick else (500, 2000, 8000)
    report.add("training on CSR", {str(m): alone(training_memory, m, n) for m in cells})
    for zeros in (0.95, 0.8):
        report.add(f"{zeros:.0%} zeros", alternating([PAPER, OURS], n, zeros, n_rounds).T.to_dict())
    if not quick:
        report.add("padding", padding())


if __name__ == "__main__":
    main()
