"""Translation methods where the truth is known: the nonlinear simulator at n = 2,000, compounds held out.

    python benchmarks/translate_simulated.py [--seeds 0 1 2 3 4] [--methods …]

The ceiling is the skill of the noiseless target. Every method sees the first of five folds of each simulation.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd

import scgx
from scgx._core import training_data
from scgx.estimators import column_mean, group_folds
from scgx.metrics import r2_skill
from scgx.selection import AutoTranslator, make_candidates

CLOSED_FORM = ("same_gene", "ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls")
LEARNED = ("mlp", "sample_attention", "transplatformer", "anchored_transplatformer")
PAIR = ("ridge", "sample_attention")
ROWS, SOURCE, TARGET = 2000, 400, 300


def simulate(seed: int) -> tuple:
    """Arrays of one simulation, its first fold, and the noiseless target."""
    data = scgx.datasets.simulate_platforms(ROWS, SOURCE, TARGET, response="nonlinear", seed=seed)
    arrays = training_data(data, target_key="target", layer=None, group_key="compound", tissue_key="tissue")
    fold = group_folds(len(arrays.X), arrays.groups, n_folds=5, seed=seed)[0]
    return arrays, fold, data["target"].layers["truth"]


def scores(seed: int, methods: list[str]) -> list[dict[str, object]]:
    arrays, (train, test), truth = simulate(seed)
    center, measured = column_mean(arrays.Y[train]), arrays.Y[test]
    rows = [{"method": "noiseless target", "seed": seed, "skill": r2_skill(measured, truth[test], center)}]
    rows[0]["seconds"] = np.nan
    candidates = make_candidates(methods, pairs=arrays.pairs, seed=seed)
    candidates["stack of closed forms"] = AutoTranslator(
        {name: candidates[name] for name in CLOSED_FORM if name in candidates}, seed=seed
    )
    predicted = {}
    for name, method in candidates.items():
        start = time.perf_counter()
        method.fit(arrays.X[train], arrays.Y[train], groups=arrays.groups[train], tissue=arrays.tissue[train])
        predicted[name] = method.predict(arrays.X[test], tissue=arrays.tissue[test])
        rows.append({"method": name, "seed": seed, "seconds": time.perf_counter() - start})
        rows[-1]["skill"] = r2_skill(measured, predicted[name], center)
        print(f"seed {seed}  {name:28s} {rows[-1]['skill']:.4f}  {rows[-1]['seconds']:.0f} s", flush=True)
    if set(PAIR) <= set(predicted):  # what a stack of the two can be expected to have, at no cost
        mean = sum(predicted[name] for name in PAIR) / 2
        rows.append(
            {"method": "mean of " + " and ".join(PAIR), "seed": seed, "skill": r2_skill(measured, mean, center)}
        )
        print(f"seed {seed}  {rows[-1]['method']:28s} {rows[-1]['skill']:.4f}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    parser.add_argument("--methods", nargs="*", default=[*CLOSED_FORM, *LEARNED])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("translate_simulated.json"))
    arguments = parser.parse_args()
    frame = pd.DataFrame([row for seed in arguments.seeds for row in scores(seed, arguments.methods)])
    best = frame[frame["method"].isin(CLOSED_FORM)].groupby("seed")["skill"].max()
    frame["over_best_closed_form"] = frame["skill"] - frame["seed"].map(best)
    table = frame.groupby("method").agg(
        skill=("skill", "mean"),
        over_best_closed_form=("over_best_closed_form", "mean"),
        least=("over_best_closed_form", "min"),
        seconds=("seconds", "mean"),
    )
    print(table.sort_values("skill", ascending=False).round(4).to_string())
    result = {
        "scgx": scgx.__version__,
        "python": platform.python_version(),
        "rows": json.loads(frame.to_json(orient="records", double_precision=5)),
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
