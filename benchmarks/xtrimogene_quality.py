"""How well XTrimoGene recovers hidden values of cells that it never saw, at equal processor time, and what helps.

    python benchmarks/xtrimogene_quality.py [--seconds 45] [--short 12] [--seeds 3] [--jobs 2] [--only main size …] [--quick]

Cells of Kang et al. 2018 (2,000 cells), log1p of counts per 10,000. A seed splits them into 1,600 to train on and 400 to
score; the 2,000 variable genes, SVD and every constant come from training cells alone. In the scored cells 30 % of the
expressed genes and as many zeros are hidden, the same for all methods. Networks train for ``--seconds`` (main table, cells, clusters,
mixing, edges) or ``--short`` (ablations) of processor time on one thread, start-up and validation counted, and end with the epoch in which it
runs out; those "by epochs" train for as many epochs as their names say.

Two things are scored. ``mse``, ``r`` and ``r_within_gene`` (each gene's mean taken out of both) compare the expected value
at all hidden positions. ``value_*`` compare, at expressed positions alone, the value that the method gives to a gene known
to be expressed: the ``hurdle`` head has one, and simple predictors are fitted to it separately. "SVD-50 + ridge" learns
from whole cells and is then moved to each gene's mean at hidden positions; "on hidden values" learns, gene by gene, from
cells hidden ten times over, as the networks do, and is the harder one to pass. ``xtrimogene_embedding.py`` has clusters and
mixing of batches (through scib-metrics, where it is installed), ``xtrimogene_edges.py`` the edges of a gene graph. Everything is
written after each finished task, what ``--only`` leaves out stays as the file has it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import torch
from threadpoolctl import threadpool_limits
from xtrimogene_edges import edges
from xtrimogene_embedding import MIXED, clustering, mixing
from xtrimogene_simple import Hidden, Simple, flat, hide
from xtrimogene_training import trained

import scgx
from scgx.model import XTrimoGene
from scgx.nn import XTrimoGeneSize

MAIN = {"cross": {}, "self": {"decoder": "self"}, "linear (paper)": {"decoder": "linear"}}
TINY = XTrimoGeneSize(48, 1, 4, 32, 1, 4)
SHORT: dict[str, dict[str, dict[str, Any]]] = {
    "embedding": {name: {"embedding": name} for name in ("auto", "round", "up", "equal")},
    "objective": {name: {"objective": name} for name in ("hurdle", "regression", "classification")},
    "mask_ratio": {f"{ratio:.0%}": {"mask_ratio": ratio} for ratio in (0.15, 0.3, 0.5, 0.75)},
    "size": {"width 48 x 1": {"size": TINY}, "small": {}, "3M": {"size": "3M"}, "10M": {"size": "10M"}},
    "size by epochs": {f"{name}, 2 epochs": {"size": name, "max_epochs": 2} for name in ("small", "3M", "10M")},
    "cells": {str(n): {"n_cells": n} for n in (200, 400, 800, 1600)},
    "cells by epochs": {f"{n}, 5 epochs": {"n_cells": n, "max_epochs": 5} for n in (200, 400, 800, 1600)},
}
LONGER = ("cells",)  # as long as the main table: few steps say nothing on how many cells are needed
WITHOUT_LIMIT = ("size by epochs", "cells by epochs")
GROUPS = ("main", "default", "clustering", "edges", "mixing", *SHORT)
ZERO_SHARES = (0, 0.5, 0.75, 0.9, 0.95, 0.98, 1)


@dataclass(frozen=True)
class Split:
    """Training cells, and hidden values of others."""

    train: ad.AnnData
    test: ad.AnnData
    hidden: dict[str, torch.Tensor]


def split(seed: int, n_train: int = 1600, n_genes: int = 2000, n_test: int = 400, n_cells: int | None = None) -> Split:
    """The genes are those of all ``n_train`` cells, also where only ``n_cells`` of them are left to train on."""
    adata = scgx.datasets.load("kang2018_ifnb")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    scored, learned = order[:n_test], order[n_test:][:n_train]
    found = sc.pp.highly_variable_genes(adata[np.sort(learned)], n_top_genes=n_genes, inplace=False)
    genes = found["highly_variable"].to_numpy()
    train, test = (adata[np.sort(rows), genes].copy() for rows in (learned[:n_cells], scored))
    return Split(train, test, hide(test, 1000 + seed))


@torch.inference_mode()
def predict(model: XTrimoGene, hidden: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    expected, value = [], []
    for rows in torch.arange(len(hidden["lengths"])).split(50):
        batch = {name: x[rows] for name, x in hidden.items()}
        out = model.module.inference(batch)["out"]
        there = torch.arange(out.shape[1]) < batch["target_lengths"][:, None]
        expected.append(model.module.network.head.expected(out)[there].numpy())
        value.append(out[..., 1][there].numpy() if out.shape[2] == 2 else expected[-1])
    return np.concatenate(expected), np.concatenate(value)


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 1e-8 and y.std() > 1e-8 else float("nan")


def within(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    return x - (np.bincount(group, x) / np.bincount(group).clip(min=1))[group]


def scores(at: Hidden, expected: np.ndarray, value: np.ndarray) -> dict[str, float]:
    row = {}
    for prefix, x, keep in (("", expected, np.ones(len(at.value), bool)), ("value_", value, at.value > 0)):
        x, y, gene = x[keep], at.value[keep], at.gene[keep]
        row[f"{prefix}mse"] = float(np.mean((x - y) ** 2))
        row[f"{prefix}r"] = correlation(x, y)
        row[f"{prefix}r_within_gene"] = correlation(within(x, gene), within(y, gene))
    return row


def by_sparsity(data: Split, at: Hidden, expected: np.ndarray) -> dict[str, dict[str, float]]:
    """r by share of zeros of the gene in training cells, and of the cells of a type (the paper's Fig. 3)."""
    zeros = 1 - np.asarray((data.train.X > 0).mean(0)).ravel()
    bins = pd.cut(zeros[at.gene], ZERO_SHARES, include_lowest=True)
    kind = data.test.obs["cell_type"].astype(str).to_numpy()
    empty = 1 - data.test.X.getnnz(axis=1) / data.test.n_vars
    groups = {f"genes {b.left:.2f} to {b.right:.2f} zeros": np.asarray(bins == b) for b in bins.categories}
    groups |= {f"{k}, {empty[kind == k].mean():.3f} zeros": kind[at.cell] == k for k in np.unique(kind)}
    return {name: {"n": int(k.sum()), "r": correlation(expected[k], at.value[k])} for name, k in groups.items()}


def cell_errors(at: Hidden, expected: np.ndarray, value: np.ndarray, n: int) -> dict[str, list[float]]:
    """Sums over each cell's positions, for the bootstrap."""
    present = at.value > 0
    sums = {
        "all": np.bincount(at.cell, (expected - at.value) ** 2, n),
        "n_all": np.bincount(at.cell, minlength=n),
        "value": np.bincount(at.cell[present], (value - at.value)[present] ** 2, n),
        "n_value": np.bincount(at.cell[present], minlength=n),
    }
    return {name: [round(float(x), 4) for x in column] for name, column in sums.items()}


def assess(data: Split, expected: np.ndarray, value: np.ndarray) -> dict[str, Any]:
    at = flat(data.hidden)
    return {
        "scores": scores(at, expected, value),
        "by_sparsity": by_sparsity(data, at, expected),
        "cells": cell_errors(at, expected, value, data.test.n_obs),
    }


def task(kind: str, seed: int, seconds: float, options: dict[str, Any], size: dict[str, int]) -> dict[str, Any]:
    """One line of a table, in a process of its own on one thread."""
    torch.set_num_threads(1)
    options = dict(options)
    with threadpool_limits(1):
        if kind == "cluster":
            return clustering(seconds)
        if kind == "mixing":
            return mixing(seconds=seconds, **options)
        data = split(seed, n_cells=options.pop("n_cells", None), **size)
        if kind == "simple":
            predicted = Simple(data.train).predict(data.hidden)
            return {name: assess(data, *both) for name, both in predicted.items()}
        model, used = trained(data.train, seconds, seed, options)
        found = assess(data, *predict(model, data.hidden)) | used
        return found | ({"edges": edges(model, data.train)} if kind == "edges" else {})


def bootstrap(a: list[dict], b: list[dict], which: str, *, n: int = 2000) -> dict[str, float]:
    """Mean squared error of a less that of b: over cells of all seeds, 95 % interval."""
    rng, sums = np.random.default_rng(0), []
    for one, other in zip(a, b, strict=True):
        error = np.array(one["cells"][which]) - np.array(other["cells"][which])
        sums.append(np.column_stack([error, one["cells"][f"n_{which}"]]))
    cells = np.concatenate(sums)
    draws = [cells[rng.integers(0, len(cells), len(cells))].sum(0) for _ in range(n)]
    low, high = np.quantile([error / count for error, count in draws], [0.025, 0.975])
    seeds = [round(float(s[:, 0].sum() / s[:, 1].sum()), 4) for s in sums]
    total = cells.sum(0)
    return {"difference": float(total[0] / total[1]), "low": float(low), "high": float(high), "of_each_seed": seeds}


def tasks(seeds: int, seconds: float, short: float) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Name and arguments of all that is run, what matters most first."""
    for seed in range(seeds):
        yield f"main/simple/{seed}", ("simple", seed, 0.0, {})
        for name, options in MAIN.items():
            yield f"main/{name}/{seed}", ("main", seed, seconds, options)
    yield "default/default/0", ("short", 0, short, {})
    yield "clustering/all/0", ("cluster", 0, seconds, {})
    yield "edges/cross/0", ("edges", 0, seconds, {})
    for name in MIXED:
        yield f"mixing/{name}/0", ("mixing", 0, seconds, {"name": name})
    for group, rows in SHORT.items():
        limit = seconds if group in LONGER else 1e9 if group in WITHOUT_LIMIT else short
        for name, options in rows.items():
            if options in ({}, {"embedding": "auto"}, {"objective": "hurdle"}, {"mask_ratio": 0.3}):
                continue  # all of these are the default, which is run once
            yield f"{group}/{name}/0", ("short", 0, limit, options)


def summary(done: dict[str, Any]) -> dict[str, Any]:
    """Tables of what is finished."""
    runs: dict[str, list[dict]] = {}
    for key in sorted(done):
        group, name, _ = key.split("/")
        if name == "simple":
            for method, row in done[key].items():
                runs.setdefault(method, []).append(row)
        elif group == "main":
            runs.setdefault(name, []).append(done[key])
    table = {
        name: {"seeds": len(rows)} | {k: float(np.mean([row["scores"][k] for row in rows])) for k in rows[0]["scores"]}
        for name, rows in runs.items()
    }
    for name, rows in runs.items():
        if name in MAIN:
            table[name] |= {k: float(np.mean([row[k] for row in rows])) for k in ("processor_seconds", "epochs")}
    tests = {
        f"{a} - {b}, {which}": bootstrap(runs[a], runs[b], which)
        for a in MAIN
        for b in runs
        for which in ("all", "value")
        if a in runs and a != b and b != "training mean" and len(runs[a]) == len(runs[b])
    }
    groups = {name: rows[0]["by_sparsity"] for name, rows in runs.items()}
    sparsity = {
        g: {"n": row["n"]} | {m: groups[m][g]["r"] for m in groups}
        for g, row in next(iter(groups.values()), {}).items()
    }
    short = {
        key.rsplit("/", 1)[0]: row["scores"] | {k: row[k] for k in ("processor_seconds", "epochs", "parameters")}
        for key, row in done.items()
        if key.split("/")[0] in (*SHORT, "default")
    }
    found = {"main": table, "bootstrap": tests, "by_sparsity": sparsity, "short": short}
    for key, row in done.items():
        group, name, _ = key.split("/")
        if group == "mixing":
            found |= {f"mixing, {name}": row}
        elif group == "clustering":
            found |= {group: row}
        elif group == "edges":
            found |= {group: row["edges"], "edges, hidden values": {name: row["scores"] | {"epochs": row["epochs"]}}}
    return {name: part for name, part in found.items() if part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=45, help="processor time of a model of the main table")
    parser.add_argument("--short", type=float, default=12, help="processor time of a model of the ablations")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--only", nargs="+", default=list(GROUPS), choices=GROUPS, help="tables to make")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few cells and genes, seconds of training, no table by epochs; nothing is written",
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    seconds, short, seeds, size = arguments.seconds, arguments.short, arguments.seeds, {}
    if arguments.quick:
        seconds, short, seeds, size = 1.0, 0.5, 1, {"n_train": 200, "n_test": 60, "n_genes": 300}
        arguments.only = [group for group in arguments.only if group not in WITHOUT_LIMIT]
    settings = {group: {"seconds": seconds, "short": short, "seeds": seeds} for group in arguments.only}
    old = json.loads(arguments.output.read_text()) if arguments.output.is_file() else {}
    done: dict[str, Any] = {}
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        asked = {name: rest for name, rest in tasks(seeds, seconds, short) if name.split("/")[0] in arguments.only}
        futures = {pool.submit(task, *rest, size): name for name, rest in asked.items()}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            print(f"{time.strftime('%H:%M:%S')} {futures[future]}", flush=True)
            if not arguments.quick:
                new = {"settings": settings, **summary(done)}
                merged = old | new | {name: old.get(name, {}) | new.get(name, {}) for name in ("settings", "short")}
                arguments.output.write_text(json.dumps(merged, indent=1) + "\n")
    decimals = "{:.3f}".format
    for name, table in summary(done).items():
        print(f"\n{name}\n{pd.DataFrame(table).T.to_string(float_format=decimals)}")


if __name__ == "__main__":
    main()
