"""Accuracy of every translation method on real pairs, groups held out: table and JSON.

    SCGX_DATA_DIR=… python benchmarks/translate_real.py [--quick] [--sets ccle l1000 …]

Sets: ``ccle`` (464 cell lines, 1,000 array genes → 50 sequenced), the twelve directions of ``nci60`` (60 cell lines,
four arrays), ``l1000`` (661 drug profiles, a random half of 978 genes → the other half, deltas against DMSO, whole
compounds held out) and ``rat_liver`` (five treatments: reported, too few to learn from).
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict
from itertools import permutations
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import scgx

ARRAYS = ("agilent", "hgu133", "hgu133p2", "hgu95")
METHODS = (
    "ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "random_forest", "mlp", "matrix_completion", "auto",
)  # fmt: skip
SLOW = ("random_forest", "mlp", "matrix_completion")
SHOWN = ["skill", "mae", "pearson", "pearson_delta", "pearson_within_gene", "coverage", "width", "seconds"]
LARGE = 200


def paired(source: ad.AnnData, target: ad.AnnData, *, on: str = "pair_id") -> ad.AnnData:
    """The source rows that have a target, shared genes by symbol."""
    source = source[source.obs[on].isin(target.obs[on])].copy()
    scgx.pp.add_target(source, target, on=on, gene_key="gene_symbol")
    return source


def l1000() -> ad.AnnData:
    """Drug profiles of HT115 as deltas against DMSO, genes split in two halves."""
    wells = scgx.datasets.load("l1000_ht115_prnet")
    control = wells.obs["is_control"].to_numpy(dtype=bool)
    deltas = wells[~control].copy()
    deltas.X = np.asarray(deltas.X) - np.asarray(wells.X)[control].mean(axis=0)
    order = np.random.default_rng(0).permutation(wells.n_vars)
    half = wells.n_vars // 2
    source, target = deltas[:, np.sort(order[:half])].copy(), deltas[:, np.sort(order[half:])].copy()
    scgx.pp.add_target(source, target)
    return source


def rat_liver() -> ad.AnnData:
    """Five treatments on array and sequencing, the mean of the re-analyses of each; probes without gaps."""
    data = scgx.datasets.load("rat_liver_affy_rnaseq_fc")
    runs = data["rnaseq"]
    mean = runs.to_df().groupby(runs.obs["pair_id"].astype(str).to_numpy()).mean()
    target = ad.AnnData(
        mean.astype(np.float32), obs=pd.DataFrame({"pair_id": mean.index}, index=mean.index), var=runs.var
    )
    return paired(data["affy_rg230"], target)


def data_sets() -> Iterator[tuple[str, ad.AnnData, str | None]]:
    """Name, data, group column."""
    ccle = scgx.datasets.load("ccle_affy_rnaseq")
    yield "ccle", paired(ccle["affy1000"], ccle["rnaseq50"]), "pair_id"
    nci60 = scgx.datasets.load("nci60_4arrays")
    for source, target in permutations(ARRAYS, 2):
        yield f"nci60 {source}→{target}", paired(nci60[source], nci60[target]), "pair_id"
    yield "l1000", l1000(), "perturbation"
    yield "rat_liver", rat_liver(), "pair_id"


def verdict(frame: pd.DataFrame, name: str, n: int) -> dict[str, object]:
    """``auto`` against the best single method of the test folds, and against the best baseline."""
    table = scgx.bm.summary(frame).set_index("method")
    singles = table[(table["role"] == "candidate") & (table.index != "auto")]["skill"]
    baselines = table[table["role"] == "baseline"]["skill"]
    best, baseline = str(singles.idxmax()), str(baselines.idxmax())
    against = scgx.bm.compare(frame, "auto", best)
    above = scgx.bm.compare(frame, "auto", baseline)
    large = n > LARGE
    return {
        "dataset": name,
        "pairs": n,
        "auto": table.loc["auto", "skill"],
        "best_single": best,
        "best_skill": singles.max(),
        **{f"vs_best_{k}": v for k, v in asdict(against).items()},
        "best_baseline": baseline,
        "baseline_skill": baselines.max(),
        **{f"vs_baseline_{k}": v for k, v in asdict(above).items()},
        "criterion": "within 0.01 of the best" if large else "interval not below zero",
        "passed": bool(against.difference >= -0.01 if large else against.high >= 0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out forest, MLP and matrix completion")
    parser.add_argument("--sets", nargs="*", help="only the sets whose names start so")
    parser.add_argument("--seed", type=int, default=0, help="seed of folds and methods")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("translate_real.json"))
    arguments = parser.parse_args()
    methods = [name for name in METHODS if not (arguments.quick and name in SLOW)]
    tables, verdicts = [], []
    for name, adata, group_key in data_sets():
        if arguments.sets and not name.startswith(tuple(arguments.sets)):
            continue
        few = adata.n_obs < 10
        chosen = ["ridge", "same_gene+kernel_ridge"] if few else methods
        frame = scgx.bm.translate(adata, methods=chosen, group_key=group_key, dataset=name, seed=arguments.seed)
        tables.append(scgx.bm.summary(frame))
        print(f"\n{name}: {adata.n_obs} pairs, {adata.n_vars} → {adata.obsm['target'].shape[1]} genes")
        print(
            tables[-1][["method", *(c for c in SHOWN if c in tables[-1])]].round(4).to_string(index=False), flush=True
        )
        if not few:
            verdicts.append(verdict(frame, name, adata.n_obs))
    summary = pd.DataFrame(verdicts)
    columns = ["dataset", "pairs", "auto", "best_single", "best_skill", "vs_best_low", "vs_best_high", "best_baseline",
               "baseline_skill", "vs_baseline_low", "passed"]  # fmt: skip
    print("\nauto against the best single method and the best baseline, 95 % paired intervals")
    print(summary[columns].round(4).to_string(index=False))
    result = {
        "scgx": scgx.__version__,
        "python": platform.python_version(),
        "seed": arguments.seed,
        "scores": json.loads(pd.concat(tables).to_json(orient="records", double_precision=5)),
        "verdicts": json.loads(summary.to_json(orient="records", double_precision=5)),
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
