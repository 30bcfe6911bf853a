"""The choice among closed forms on Norman et al. (2019): ``auto`` beside each of them, by what was seen; table and JSON.

    SCGX_DATA_DIR=… python benchmarks/perturbation_auto.py [--jobs names features] [--divisions 4] [--output FILE]

One combination is left out at a time, or a fifth of the genes measured alone, with their combinations. The control cells are
divided: predictor and query have one half, what was measured is taken against the other. ``auto`` is
``scgx.tl.PerturbationPredictor`` as it comes, but for the random forest, which takes nine tenths of its time. ``names``:
combinations, nothing known of genes but their names; ``features``: GO sets of the genes are given. Differences are those to
the best closed form of the stratum, which is known in hindsight, with 95 % intervals from a bootstrap over conditions.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from perturbation import KEYS, norman

import scgx
from scgx.metrics import pearson, split_controls
from scgx.selection import LeavePerturbationsOut, make_responses, n_singles_seen, paired_bootstrap, possible_responses


def held_out(labels: np.ndarray, job: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Kind, conditions to predict, and conditions that training must not have."""
    conditions = sorted(set(labels) - {"control"})
    names = [tuple(label.split("+")) for label in conditions]
    for label in conditions:
        if "+" in label:
            yield "combination", [label], [label]
    for train, _ in LeavePerturbationsOut(5).split(conditions, groups=names) if job == "features" else ():
        left_out = [label for k, label in enumerate(conditions) if k not in set(train)]
        known = {name for k in train for name in names[k]}
        yield "single", [label for label in left_out if "+" not in label and label not in known], left_out


def predictions(
    train: AnnData, query: AnnData, asked: list[str], features: pd.DataFrame | None
) -> dict[str, np.ndarray]:
    """Changes by ``auto`` and by each closed form, asked × genes in the order of ``query``."""
    names = ["no_change", "mean_delta", "additive", "linear"]
    names += [] if features is None else ["tanimoto_knn", "bilinear", "ridge", "kernel_ridge"]
    predictor = scgx.tl.PerturbationPredictor(names, **KEYS, features=features).fit(train)
    record = predictor.predict(query, asked).uns["perturbation_predicted"]
    out = {"auto": pd.DataFrame(record["change"], columns=record["genes"])[query.var_names].to_numpy()}
    measured = predictor.reference.measured
    known = measured.conditions
    together = tuple(tuple(sorted(label.split("+"))) for label in asked)
    new = scgx.estimators.Conditions(
        together,
        np.repeat(known.context[:1], len(asked)),
        np.repeat(known.control[:1], len(asked), axis=0),
        features=None if features is None else np.stack([features.loc[list(one)].mean() for one in together]),
    )
    order = np.argsort(np.argsort(query.var_names.to_numpy(dtype=str), kind="stable"))
    responses = make_responses([name for name in names if name in possible_responses(known)], known, seed=0)
    for name, response in responses.items():
        out[name] = response.fit(known, measured.delta).predict(new)[:, order]
    out["reference"] = np.tile(measured.delta.mean(axis=0)[order], (len(asked), 1))
    return out | {"chosen": np.array(record["method"])}


def run(job: str, n_divisions: int) -> pd.DataFrame:
    """One row a condition, division and method."""
    adata, features, _ = norman()
    labels = adata.obs["perturbation"].to_numpy(dtype=str)
    controls = np.flatnonzero(labels == "control")
    alone = [(label,) for label in set(labels) if "+" not in label]
    means = {label: np.asarray(adata.X[labels == label].mean(axis=0)).ravel() for label in set(labels)}
    rows = []
    for division in range(n_divisions):
        for_truth, for_prediction = split_controls(controls, seed=division)
        control = np.asarray(adata.X[for_truth].mean(axis=0)).ravel()
        query = adata[for_prediction]
        for kind, asked, left_out in held_out(labels, job):
            train = adata[~np.isin(labels, left_out) & ~np.isin(np.arange(len(labels)), for_truth)]
            known = {name for label in set(train.obs["perturbation"]) for name in label.split("+")}
            if job == "names" and known.isdisjoint(asked[0].split("+")):
                continue  # nothing is known of either gene
            found = predictions(train, query, asked, features if job == "features" else None)
            chosen, reference = found.pop("chosen"), found.pop("reference")
            truth = np.stack([means[label] - control for label in asked])
            for method, change in found.items():
                r = np.nan_to_num(pearson(truth, change))
                for k, label in enumerate(asked):
                    n_seen = n_singles_seen([*alone, tuple(label.split("+"))])[-1]
                    stratum = "single, held out" if kind == "single" else f"double, {n_seen} of 2 seen alone"
                    rows.append(
                        {
                            "stratum": stratum,
                            "condition": label,
                            "method": method,
                            "pearson_delta": r[k],
                            "squared_error": ((truth[k] - change[k]) ** 2).sum(),
                            "reference": ((truth[k] - reference[k]) ** 2).sum(),
                            "chosen": str(chosen[k]) if method == "auto" else "",
                        }
                    )
    return pd.DataFrame(rows)


def summarise(table: pd.DataFrame, job: str) -> list[dict[str, Any]]:
    """Mean of each method by stratum; of ``auto`` also the paired differences to the best closed form."""
    rows = []
    for stratum, part in table.groupby("stratum"):
        values = {
            column: part.pivot_table(index="condition", columns="method", values=column)
            for column in ("pearson_delta", "squared_error", "reference")
        }
        error, r = values["squared_error"], values["pearson_delta"].fillna(0)
        reference = values["reference"]["auto"].to_numpy()
        closed = [name for name in error if name != "auto"]
        best = {
            "skill": min(closed, key=lambda name: error[name].sum()),
            "pearson_delta": max(closed, key=lambda name: r[name].mean()),
        }
        for method in error:
            row = {"job": job, "stratum": stratum, "method": method, "n": len(error)}
            row |= {"pearson_delta": r[method].mean(), "skill": 1 - error[method].sum() / reference.sum()}
            if method == "auto":
                gain = paired_bootstrap(error["auto"].to_numpy(), error[best["skill"]].to_numpy(), reference)
                row |= {"best": best["skill"], "gain": gain.difference, "gain_low": gain.low, "gain_high": gain.high}
                rival = r[best["pearson_delta"]].to_numpy()
                # the same bootstrap: of means, where every condition counts as one
                gain = paired_bootstrap(-r["auto"].to_numpy(), -rival, np.ones(len(r)))
                row |= {"best_r": best["pearson_delta"], "gain_r": gain.difference}
                row |= {"gain_r_low": gain.low, "gain_r_high": gain.high}
                row["chosen"] = part["chosen"][part["method"] == "auto"].value_counts().to_dict()
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="*", choices=("names", "features"), default=("names", "features"))
    parser.add_argument("--divisions", type=int, default=4)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    for job in arguments.jobs:
        start = time.process_time()
        rows = [row | {"divisions": arguments.divisions} for row in summarise(run(job, arguments.divisions), job)]
        print(f"\n{job}, {time.process_time() - start:.0f} CPU s\n{pd.DataFrame(rows).round(3).to_string(index=False)}")
        old = json.loads(arguments.output.read_text())["rows"] if arguments.output.exists() else []
        rows = [*(row for row in old if row["job"] != job), *rows]
        arguments.output.write_text(json.dumps({"scgx": scgx.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
