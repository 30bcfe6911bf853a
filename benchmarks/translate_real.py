"""Accuracy of every translation method on real pairs, groups held out: table and JSON.

    SCGX_DATA_DIR=… python benchmarks/translate_real.py [--quick] [--seeds 0 1 2] [--sets ccle l1000 …] [--jobs 2]

Sets: ``ccle`` (464 cell lines, 1,000 array genes → 50 sequenced), the twelve directions of ``nci60`` (60 cell lines,
four arrays), ``l1000`` (661 drug profiles, a random half of 978 genes → the other half, deltas against DMSO, whole
compounds held out) and ``rat_liver`` (five treatments: reported, too few to learn from). Slow rivals run on the first
seed only, unless they are asked for by name. With ``--jobs`` each job computes on one thread. Sets and methods that a run leaves out keep their results in the
output file.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

import scgx

ARRAYS = ("agilent", "hgu133", "hgu133p2", "hgu95")
CLOSED_FORM = ("ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "same_gene")
LEARNED = ("sample_attention", "auto")
METHODS = (
    "ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "sample_attention", "transplatformer",
    "anchored_transplatformer", "random_forest", "mlp", "matrix_completion", "seq2seq", "auto",
)  # fmt: skip
SLOW = ("random_forest", "mlp", "matrix_completion", "seq2seq", "transplatformer", "anchored_transplatformer")
SHOWN = ["skill", "mae", "pearson", "pearson_delta", "pearson_within_gene", "coverage", "width", "seconds"]
VERDICT = ["dataset", "pairs", "best_learned", "learned_skill", "best_closed", "closed_skill",
           "auto_vs_closed_difference", "auto_vs_closed_low", "auto_vs_closed_high",
           "sample_attention_vs_closed_difference", "sample_attention_vs_closed_low",
           "sample_attention_vs_closed_high", "passed"]  # fmt: skip
LARGE = 200
LONGEST_SEQUENCE = 300  # source and target genes up to which Seq2Seq is affordable: 1,050 take minutes an epoch


class Pairs(NamedTuple):
    """One data set of the benchmark."""

    name: str
    adata: ad.AnnData
    group_key: str
    tissue_key: str | None = None


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


def data_sets() -> Iterator[Pairs]:
    """All sets, one after the other."""
    ccle = scgx.datasets.load("ccle_affy_rnaseq")
    yield Pairs("ccle", paired(ccle["affy1000"], ccle["rnaseq50"]), "pair_id", "tissue")
    nci60 = scgx.datasets.load("nci60_4arrays")
    for source, target in permutations(ARRAYS, 2):
        yield Pairs(f"nci60 {source}→{target}", paired(nci60[source], nci60[target]), "pair_id", "tissue")
    yield Pairs("l1000", l1000(), "perturbation")
    yield Pairs("rat_liver", rat_liver(), "pair_id")


def methods_for(pairs: Pairs, methods: Sequence[str], *, quick: bool) -> list[str]:
    """What is run on a set: of five pairs nothing complicated is learned, and long sequences take hours."""
    if pairs.adata.n_obs < 10:
        return ["ridge", "same_gene+kernel_ridge"]
    long = pairs.adata.n_vars + pairs.adata.obsm["target"].shape[1] > LONGEST_SEQUENCE
    return [name for name in methods if not (quick and name in SLOW) and not (long and name == "seq2seq")]


def run(pairs: Pairs, seed: int, methods: Sequence[str], *, quick: bool) -> pd.DataFrame:
    """Tidy result of one set and one seed."""
    frame = scgx.bm.translate(
        pairs.adata,
        methods=methods_for(pairs, methods, quick=quick),
        group_key=pairs.group_key,
        tissue_key=pairs.tissue_key,
        dataset=pairs.name,
        seed=seed,
    )
    print(f"{pairs.name}, seed {seed}: done", flush=True)
    return frame.assign(fold=f"{seed}." + frame["fold"].astype(str), seed=seed)


def verdict(frame: pd.DataFrame, name: str, n: int) -> dict[str, object]:
    """``auto`` and the best learned method against the best closed form, of the test folds, and the best baseline."""
    table = scgx.bm.summary(frame).set_index("method")
    closed, learned = (table.loc[table.index.isin(names), "skill"] for names in (CLOSED_FORM, LEARNED))
    baselines = table[table["role"] == "baseline"]["skill"]
    best, baseline = str(closed.idxmax()), str(baselines.idxmax())
    against = {
        f"{method}_vs_closed": scgx.bm.compare(frame, method, best) for method in LEARNED if method in table.index
    }
    against["auto_vs_baseline"] = scgx.bm.compare(frame, "auto", baseline)
    auto = against["auto_vs_closed"]
    return {
        "dataset": name,
        "pairs": n,
        "best_learned": str(learned.idxmax()),
        "learned_skill": learned.max(),
        "best_closed": best,
        "closed_skill": closed.max(),
        "best_baseline": baseline,
        "baseline_skill": baselines.max(),
        **{f"{key}_{k}": v for key, value in against.items() for k, v in asdict(value).items()},
        "passed": bool(auto.low > 0 if n > LARGE else auto.high >= 0),
    }


def report(frame: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """Print and return the scores of one set, means over seeds."""
    runs = frame.groupby("method")["seed"].nunique()
    table = scgx.bm.summary(frame.drop(columns="seed"))
    table["seeds"] = table["method"].map(runs)
    table["seconds"] /= table["seeds"]
    print(
        f"\n{pairs.name}: {pairs.adata.n_obs} pairs, {pairs.adata.n_vars} → {pairs.adata.obsm['target'].shape[1]} genes"
    )
    print(table[["method", *(c for c in SHOWN if c in table), "seeds"]].round(4).to_string(index=False), flush=True)
    return table


def merged(file: Path, part: str, rows: list[dict], key: tuple[str, ...]) -> list[dict]:
    """``rows``, and those of the file that no new row replaces."""
    old = json.loads(file.read_text())[part] if file.exists() else []
    new = {tuple(row[name] for name in key) for row in rows}
    return rows + [row for row in old if tuple(row[name] for name in key) not in new]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the slow rivals: " + ", ".join(SLOW))
    parser.add_argument("--sets", nargs="*", help="only the sets whose names start so")
    parser.add_argument("--methods", nargs="*", default=METHODS, help="only these, and the baselines")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0], help="seeds of folds and methods")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("translate_real.json"))
    arguments = parser.parse_args()
    every = tuple(arguments.methods) == METHODS
    chosen = [p for p in data_sets() if not arguments.sets or p.name.startswith(tuple(arguments.sets))]
    # the longest first, so that no job is left alone with it
    work = sorted([(pairs, seed) for pairs in chosen for seed in arguments.seeds], key=lambda one: -one[0].adata.X.size)
    with parallel_config("loky", n_jobs=arguments.jobs, inner_max_num_threads=1 if arguments.jobs > 1 else None):
        frames = Parallel()(
            delayed(run)(
                pairs, seed, arguments.methods, quick=arguments.quick or (every and seed != arguments.seeds[0])
            )
            for pairs, seed in work
        )
    everything = pd.concat(frames, ignore_index=True)
    by_set = {pairs.name: everything[everything["dataset"] == pairs.name] for pairs in chosen}
    tables = [report(by_set[pairs.name], pairs) for pairs in chosen]
    full = set(CLOSED_FORM) - {"same_gene"} | {"auto"} <= set(arguments.methods)
    verdicts = [
        verdict(by_set[pairs.name].drop(columns="seed"), pairs.name, pairs.adata.n_obs)
        for pairs in chosen
        if pairs.adata.n_obs >= 10 and full
    ]
    if verdicts:
        summary = pd.DataFrame(verdicts)
        print("\nlearned against closed form, 95 % paired intervals")
        print(summary[[column for column in VERDICT if column in summary]].round(4).to_string(index=False))
    scores = json.loads(pd.concat(tables).to_json(orient="records", double_precision=5))
    result = {
        "scgx": scgx.__version__,
        "python": platform.python_version(),
        "scores": merged(arguments.output, "scores", scores, ("dataset", "method")),
        "verdicts": merged(arguments.output, "verdicts", verdicts, ("dataset",)),
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
