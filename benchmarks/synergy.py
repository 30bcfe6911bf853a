"""Drug synergy with the splits that the papers lack: table and JSON.

    SCGX_DATA_DIR=… python benchmarks/synergy.py [--quick] [--data oneil simulated] [--splits pair drug …]
        [--methods auto one_hot …] [--folds 0 1 …] [--again]

O'Neil et al. (2016) as DeepDDS gives it: 36 drugs in 31 lines of 954 genes, repeats of a pair in a line removed. A random
split, and pairs, drugs (one or both new), both drugs and lines held out; five folds, those of ``scgx.bm.synergy``. ``auto``
chooses inside each training part, on three folds. Beside it a simulated screen whose synergy depends on the molecules
(``synergy_screen.py``).

The JSON has a record for each data set, split, method and fold; it is written after each of them, and what it has is not
measured again (``--again``: it is). So the whole can be run in pieces. One core, O'Neil, a fold: closed forms 0.1 s, trees
2 to 8 s, ``auto`` about a minute, ``deepsynergy`` and ``deepdds`` (left out unless named) minutes. ``--quick``: the first
fold, without ``auto``, nothing is written.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from synergy_screen import simulate_screen

import scgx
from scgx._core.drug_pairs import DrugPairs, read_lines, read_pairs, read_target
from scgx.estimators import BaseSynergy
from scgx.selection import SYNERGIES, AutoSynergy, synergy_folds, synergy_names, synergy_scores, synergy_units

SPLITS = ("pair", "drug", "both_drugs", "line", "random")
METHODS = ("auto", *(name for name in SYNERGIES if name not in ("deepsynergy", "deepdds")))
KEY = ["data", "split", "method", "fold"]
N_FOLDS = 5


def measured(data: str) -> tuple[DrugPairs, np.ndarray]:
    """Pairs, each once in a line, and their labels."""
    if data == "simulated":
        table, expression, _ = simulate_screen()
    else:
        loaded = scgx.datasets.load("synergy_deepdds")
        names = {"drug1": "drug_a", "drug2": "drug_b", "smiles1": "smiles_a", "smiles2": "smiles_b"}
        table = loaded["pairs_12415"].rename(columns=names)
        expression = np.log1p(loaded["cell_line_expression_954"].to_df())
    pairs = read_pairs(table, read_lines(expression), argument="pairs")
    y, _ = read_target(table, argument="pairs")
    _, first = np.unique(synergy_units(pairs, "random"), return_index=True)
    rows = np.sort(first)
    return pairs.take(rows), y[rows]


def make(method: str, split: str) -> BaseSynergy:
    if method != "auto":
        return SYNERGIES[method](0)
    return AutoSynergy(synergy_names("auto"), "one_drug" if split == "drug" else split, n_folds=3)


def measure(
    data: str, splits: list[str], methods: list[str], chosen: list[int], done: set[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """Scores of each method in each fold, but for those done before."""
    pairs, y = measured(data)
    for split in splits:
        for fold, (train, test) in enumerate(synergy_folds(pairs, split, n_folds=N_FOLDS, seed=0)):
            for method in methods if fold in chosen else ():
                if (data, split, method, fold) in done:
                    continue
                start = time.process_time()
                model = make(method, split).fit(pairs.take(train), y[train])
                predicted = model.predict(pairs.take(test))
                record = {"data": data, "split": split, "method": method, "fold": fold}
                record |= synergy_scores(y[test], predicted, binary=True)
                record |= {"prevalence": float(y[test].mean()), "n_test": len(test)}
                record |= {"chosen": model.chosen_} if isinstance(model, AutoSynergy) else {}
                yield record | {"cpu_seconds": round(time.process_time() - start, 1)}


def summary(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Means over folds, and the difference to one-hot boosting in the same folds with a 95 % t interval over folds."""
    table = pd.DataFrame(records)
    rows = []
    for (data, split), part in table.groupby(["data", "split"]):
        wide = part.pivot(index="fold", columns="method", values="auroc")
        for method, own in part.groupby("method"):
            row = {"data": data, "split": split, "method": method, "folds": len(own)}
            row |= own[["auroc", "auprc", "prevalence", "cpu_seconds"]].mean().to_dict()
            if "one_hot" in wide:
                gain = (wide[method] - wide["one_hot"]).dropna()
                half = gain.sem() * student.ppf(0.975, max(len(gain) - 1, 1))
                row |= {"minus_one_hot": gain.mean(), "low": gain.mean() - half, "high": gain.mean() + half}
            rows.append(row)
    return pd.DataFrame(rows).sort_values(["data", "split", "auroc"], ascending=[True, True, False])


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["folds"] if path.exists() else []


def write(path: Path, record: dict[str, Any]) -> None:
    """Put a record into the JSON, in place of an older one, and compute the summary anew; one process at a time."""
    directory = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        kept = [old for old in read(path) if any(old[key] != record[key] for key in KEY)]
        records = sorted([*kept, record], key=lambda one: [one[key] for key in KEY])
        means = json.loads(summary(records).to_json(orient="records", double_precision=4))
        content = {"scgx": scgx.__version__, "summary": means, "folds": records}
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content, indent=1) + "\n")
        new.replace(path)
    finally:
        os.close(directory)  # which ends the lock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", nargs="*", choices=("oneil", "simulated"), default=["oneil", "simulated"])
    parser.add_argument("--splits", nargs="*", choices=SPLITS, default=SPLITS)
    parser.add_argument("--methods", nargs="*", choices=("auto", *SYNERGIES), default=METHODS)
    parser.add_argument("--folds", nargs="*", type=int, default=list(range(N_FOLDS)))
    parser.add_argument("--again", action="store_true", help="also what the JSON has")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    quick = arguments.quick
    methods = [method for method in arguments.methods if method != "auto" or not quick]
    known = [] if quick else read(arguments.output)
    done = set() if arguments.again else {tuple(record[key] for key in KEY) for record in known}
    found = []
    for data in arguments.data:
        for record in measure(data, arguments.splits, methods, [0] if quick else arguments.folds, done):
            found.append(record)
            if not quick:
                write(arguments.output, record)
    shown = summary(found if quick else read(arguments.output))
    for (data, split), table in shown.groupby(["data", "split"]):
        columns = table.drop(columns=["data", "split"]).round(3)
        print(f"\n{data}, {split} held out\n{columns.to_string(index=False)}", flush=True)


if __name__ == "__main__":
    main()
