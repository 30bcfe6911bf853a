"""How well XTrimoGene recovers hidden values of cells that it never saw, at equal processor time, and what helps.

    python benchmarks/xtrimogene_quality.py [--seconds 60] [--short 12] [--seeds 3] [--jobs 2] [--quick]

Cells of Kang et al. 2018 (2,000 cells), log1p of counts per 10,000. A seed splits them into 1,600 to train on and 400 to
score; the 2,000 variable genes, SVD and every constant come from training cells alone. In the scored cells 30 % of the
expressed genes and as many zeros are hidden, the same for all methods. Networks train for ``--seconds`` of processor time
on one thread, start-up and validation counted, and end with the epoch in which it runs out.

Two things are scored. ``mse``, ``r`` and ``r_within_gene`` (each gene's mean taken out of both) compare the expected value
at all hidden positions. ``value_*`` compare, at expressed positions alone, the value that the method gives to a gene known
to be expressed: the ``hurdle`` head has one, and simple predictors are fitted to it separately. "SVD-50 + ridge" learns
from whole cells and is then moved to each gene's mean at hidden positions; "on hidden values" learns, gene by gene, from
cells hidden ten times over, as the networks do, and is the harder one to pass. Everything is written after each finished
training, so a run that is stopped leaves what it has.
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
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import torch
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    adjusted_rand_score,
    homogeneity_completeness_v_measure,
    normalized_mutual_info_score,
    silhouette_score,
)
from threadpoolctl import threadpool_limits

import scgx
from scgx.model import XTrimoGene
from scgx.model._xtrimogene_cells import Cells
from scgx.nn import XTrimoGeneSize, biased_mask
from scgx.train import _fit_batches

MAIN = {"cross": {}, "self": {"decoder": "self"}, "linear (paper)": {"decoder": "linear"}}
TINY = XTrimoGeneSize(48, 1, 4, 32, 1, 4)
SHORT: dict[str, dict[str, dict[str, Any]]] = {
    "embedding": {name: {"embedding": name} for name in ("auto", "round", "up", "equal")},
    "objective": {name: {"objective": name} for name in ("hurdle", "regression", "classification")},
    "mask_ratio": {f"{ratio:.0%}": {"mask_ratio": ratio} for ratio in (0.15, 0.3, 0.5, 0.75)},
    "size": {"width 48 x 1": {"size": TINY}, "small": {}, "3M": {"size": "3M"}},
    "cells": {str(n): {"n_cells": n} for n in (200, 800, 1600)},
}
ALPHAS = np.array([1, 3, 10, 30, 100, 300, 1000.0])
ZERO_SHARES = (0, 0.5, 0.75, 0.9, 0.95, 0.98, 1)


@dataclass(frozen=True)
class Split:
    """Training cells, and hidden values of others."""

    train: ad.AnnData
    test: ad.AnnData
    hidden: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Hidden:
    """Scored positions as flat arrays."""

    cell: np.ndarray
    gene: np.ndarray
    value: np.ndarray


def cells_of(adata: ad.AnnData) -> Cells:
    return Cells(adata.X, np.arange(adata.n_vars), "log1p", np.zeros((adata.n_obs, 0), dtype=np.int64))


def hide(adata: ad.AnnData, seed: int) -> dict[str, torch.Tensor]:
    batch = cells_of(adata).read(np.arange(adata.n_obs)).batch()
    return biased_mask(batch, adata.n_vars, generator=torch.Generator().manual_seed(seed))


def split(seed: int, n_train: int = 1600, n_genes: int = 2000, n_test: int = 400) -> Split:
    adata = scgx.datasets.load("kang2018_ifnb")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    train, test = adata[np.sort(order[n_test:][:n_train])].copy(), adata[np.sort(order[:n_test])].copy()
    genes = sc.pp.highly_variable_genes(train, n_top_genes=n_genes, inplace=False)["highly_variable"].to_numpy()
    train, test = train[:, genes].copy(), test[:, genes].copy()
    return Split(train, test, hide(test, 1000 + seed))


def flat(hidden: dict[str, torch.Tensor]) -> Hidden:
    there = torch.arange(hidden["target_genes"].shape[1]) < hidden["target_lengths"][:, None]
    cell = there.nonzero()[:, 0].numpy()
    return Hidden(cell, hidden["target_genes"][there].numpy(), hidden["target_values"][there].numpy())


def visible(hidden: dict[str, torch.Tensor], n_genes: int) -> sparse.csr_matrix:
    there = (torch.arange(hidden["genes"].shape[1]) < hidden["lengths"][:, None]).numpy()
    start = np.concatenate([[0], np.cumsum(hidden["lengths"].numpy())])
    data = (hidden["values"].numpy()[there], hidden["genes"].numpy()[there], start)
    return sparse.csr_matrix(data, shape=(len(there), n_genes))


class Simple:
    """Predictors from training cells, hidden again and again as the scored ones are."""

    def __init__(self, train: ad.AnnData, *, draws: int = 10, seed: int = 0) -> None:
        p = train.n_vars
        masked = [hide(train, seed + draw) for draw in range(draws)]
        seen = [visible(hidden, p) for hidden in masked]
        targets = [flat(hidden) for hidden in masked]
        gene, value = (np.concatenate([getattr(t, name) for t in targets]) for name in ("gene", "value"))
        self.train_mean = np.asarray(train.X.mean(0)).ravel()
        self.constant = _means(gene, value, p, prior=float(value.mean()))
        present = value > 0
        self.value = _means(gene[present], value[present], p, prior=float(value[present].mean()))
        self.share = _means(gene, present.astype(float), p, prior=0.5)
        self.svd = TruncatedSVD(min(50, p - 1), random_state=seed).fit(seen[0])
        self.full, self.slope = self._fit_full(train, seen[0], targets[0])
        scores = [self.svd.transform(x) for x in seen]
        self.center, self.scale = np.mean(scores[0], 0), np.std(scores[0], 0)
        features = [self.features(x) for x in seen]
        self.ridge = {
            (depth, only): _ridge(features, targets, self._start(only), self.value if only else None, depth, p)
            for depth in (False, True)
            for only in (False, True)
        }

    def _fit_full(self, train: ad.AnnData, seen: sparse.csr_matrix, at: Hidden) -> tuple[Ridge, float]:
        """Ridge from the scores of whole cells to all their values; a slope takes its deviations to hidden positions."""
        ridge = Ridge(1000.0).fit(self.svd.transform(train.X), train.X.toarray())
        deviation = (ridge.predict(self.svd.transform(seen)) - self.train_mean)[at.cell, at.gene]
        rest = at.value - self.constant[at.gene]
        return ridge, float(deviation @ rest / (deviation @ deviation))

    def _start(self, only_expressed: bool) -> np.ndarray:
        return self.value if only_expressed else self.constant

    def features(self, seen: sparse.csr_matrix) -> np.ndarray:
        """Constant, SVD scores, and the cell's mean deviation from the genes' non-zero means."""
        scores = (self.svd.transform(seen) - self.center) / self.scale
        return np.column_stack([np.ones(seen.shape[0]), scores, self.offset(seen)])

    def offset(self, seen: sparse.csr_matrix) -> np.ndarray:
        deviation = seen.data - self.value[seen.indices]
        rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        return np.bincount(rows, deviation, seen.shape[0]) / np.diff(seen.indptr).clip(min=1)

    def predict(self, hidden: dict[str, torch.Tensor]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Expected value, and value if expressed, at each scored position."""
        at, seen = flat(hidden), visible(hidden, len(self.value))
        features = self.features(seen)
        value = self.value[at.gene] + features[:, -1][at.cell]
        rows = {
            "training mean": (self.train_mean[at.gene], self.train_mean[at.gene]),
            "gene constant": (self.constant[at.gene], self.value[at.gene]),
            "non-zero mean + cell offset": (self.share[at.gene] * value, value),
        }
        deviation = (self.full.predict(self.svd.transform(seen)) - self.train_mean)[at.cell, at.gene]
        full = self.constant[at.gene] + self.slope * deviation
        rows["SVD-50 + ridge"] = (full, full)
        hidden_names = {False: "SVD-50 + ridge on hidden values", True: "SVD-50, cell offset + ridge on hidden values"}
        for depth, name in hidden_names.items():
            x = features if depth else features[:, :-1]
            expected, given = (
                self._start(only)[at.gene] + np.einsum("nd,nd->n", x[at.cell], self.ridge[depth, only][at.gene])
                for only in (False, True)
            )
            rows[name] = (expected, given)
        return rows


def _means(gene: np.ndarray, value: np.ndarray, p: int, *, prior: float) -> np.ndarray:
    return (np.bincount(gene, value, p) + prior) / (np.bincount(gene, minlength=p) + 1)


def _ridge(
    features: list[np.ndarray],
    targets: list[Hidden],
    start: np.ndarray,
    only: np.ndarray | None,
    depth: bool,
    p: int,
) -> np.ndarray:
    """Ridge of each gene on what is left of its mean; one penalty for all genes, chosen on every fifth training cell."""
    held_out = np.arange(len(features[0])) % 5 == 0
    d = features[0].shape[1] - (not depth)
    gram, cross, check = np.zeros((2, p, d, d)), np.zeros((2, p, d)), []
    for x, at in zip(features, targets, strict=True):
        keep = at.value > 0 if only is not None else np.ones(len(at.value), dtype=bool)
        cell, gene, rest = at.cell[keep], at.gene[keep], at.value[keep] - start[at.gene[keep]]
        for part, chosen in enumerate((~held_out[cell], held_out[cell])):
            order = np.argsort(gene[chosen], kind="stable")
            rows, y, genes = x[cell[chosen][order], :d], rest[chosen][order], gene[chosen][order]
            ends = np.searchsorted(genes, np.arange(p + 1))
            for g in np.flatnonzero(np.diff(ends)):
                z = rows[ends[g] : ends[g + 1]]
                gram[part, g] += z.T @ z
                cross[part, g] += z.T @ y[ends[g] : ends[g + 1]]
            if part:
                check.append((rows, y, genes))
    errors = []
    for alpha in ALPHAS * len(features):
        weight = np.linalg.solve(gram[0] + alpha * np.eye(d), cross[0][..., None])[..., 0]
        errors.append(sum(float(((np.einsum("nd,nd->n", x, weight[g]) - y) ** 2).sum()) for x, y, g in check))
    alpha = ALPHAS[int(np.argmin(errors))] * len(features)
    return np.linalg.solve(gram.sum(0) + alpha * np.eye(d), cross.sum(0)[..., None])[..., 0]


def trained(adata: ad.AnnData, seconds: float, seed: int, options: dict[str, Any]) -> tuple[XTrimoGene, dict[str, Any]]:
    """A model after so much processor time, and what it took."""
    options = dict(options)
    ratio, started = options.pop("mask_ratio", 0.3), time.process_time()
    XTrimoGene.setup_anndata(adata, input_scale="log1p")
    model = XTrimoGene(adata, seed=seed, **options)
    clock = SimpleNamespace(monotonic=lambda: time.process_time())
    with patch.object(_fit_batches, "time", clock):
        model.train(
            1000,
            accelerator="cpu",
            mask_ratio=ratio,
            max_seconds=max(seconds - (time.process_time() - started), 0),
            patience=1000,  # the best epoch is kept, but all of the time is used
            seed=seed,
            progress=False,
        )
    history = model.history["validation_mse"].iloc[:, 0]
    n_parameters = sum(x.numel() for x in model.module.parameters())
    used = {"processor_seconds": time.process_time() - started, "epochs": len(history), "parameters": n_parameters}
    return model, used | {"validation_mse": [round(float(x), 4) for x in history]}


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
        data = split(seed, **(size | ({"n_train": options.pop("n_cells")} if "n_cells" in options else {})))
        if kind == "simple":
            predicted = Simple(data.train).predict(data.hidden)
            return {name: assess(data, *both) for name, both in predicted.items()}
        model, used = trained(data.train, seconds, seed, options)
        return assess(data, *predict(model, data.hidden)) | used


def clustering(seconds: float, *, n_starts: int = 2) -> dict[str, dict[str, float]]:
    """k-means with as many clusters as types on 700 PBMC, for embeddings of equal standing: none saw a label."""
    adata = scgx.datasets.load("pbmc68k_reduced")
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    model, _ = trained(adata, seconds, 0, {})
    dense = adata.X.toarray()
    spaces = {f"XTrimoGene, {p}": model.get_latent_representation(adata, pooling=p) for p in ("mean", "max", "both")}
    spaces["XTrimoGene, mean, 50 PC"] = PCA(50, random_state=0).fit_transform(spaces["XTrimoGene, mean"])
    spaces["PCA-50"] = PCA(50, random_state=0).fit_transform(dense)
    spaces["PCA-50, scaled"] = PCA(50, random_state=0).fit_transform((dense - dense.mean(0)) / dense.std(0).clip(1e-3))
    rows = {}
    for name, x in spaces.items():
        runs = []
        for start in range(n_starts):
            found = KMeans(len(np.unique(labels)), n_init=10, random_state=start).fit_predict(x)
            homogeneity, completeness, _ = homogeneity_completeness_v_measure(labels, found)
            runs.append([adjusted_rand_score(labels, found), normalized_mutual_info_score(labels, found)])
            runs[-1] += [homogeneity, completeness]
        means = np.mean(runs, 0).tolist()
        names = ("ari", "nmi", "homogeneity", "completeness")
        rows[name] = dict(zip(names, means, strict=True)) | {"silhouette": float(silhouette_score(x, labels))}
    return rows


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
        yield f"simple/all/{seed}", ("simple", seed, 0.0, {})
        for name, options in MAIN.items():
            yield f"main/{name}/{seed}", ("main", seed, seconds, options)
    yield "default/default/0", ("short", 0, short, {})
    yield "cluster/all/0", ("cluster", 0, short, {})
    for group, rows in SHORT.items():
        for name, options in rows.items():
            if options in ({}, {"embedding": "auto"}, {"objective": "hurdle"}, {"mask_ratio": 0.3}, {"n_cells": 1600}):
                continue  # all of these are the default, which is run once
            yield f"{group}/{name}/0", ("short", 0, short, options)


def summary(done: dict[str, Any]) -> dict[str, Any]:
    """Tables of what is finished."""
    runs: dict[str, list[dict]] = {}
    for key in sorted(done):
        group, name, _ = key.split("/")
        if group == "simple":
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
    return {
        "main": table,
        "bootstrap": tests,
        "by_sparsity": sparsity,
        "short": short,
        "clustering": done.get("cluster/all/0", {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="processor time of a model of the main table")
    parser.add_argument("--short", type=float, default=12, help="processor time of a model of the ablations")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    parser.add_argument(
        "--quick", action="store_true", help="few cells and genes, seconds of training; nothing is written"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    seconds, short, seeds, size = arguments.seconds, arguments.short, arguments.seeds, {}
    if arguments.quick:
        seconds, short, seeds, size = 1.0, 0.5, 1, {"n_train": 200, "n_test": 60, "n_genes": 300}
    settings = {"seconds": seconds, "short": short, "seeds": seeds}
    done: dict[str, Any] = {}
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(task, *rest, size): name for name, rest in tasks(seeds, seconds, short)}
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            print(f"{time.strftime('%H:%M:%S')} {futures[future]}", flush=True)
            if not arguments.quick:
                arguments.output.write_text(json.dumps({"settings": settings, **summary(done)}, indent=1) + "\n")
    decimals = "{:.3f}".format
    for name, table in summary(done).items():
        print(f"\n{name}\n{pd.DataFrame(table).T.to_string(float_format=decimals)}")


if __name__ == "__main__":
    main()
