"""Drug synergy with the splits that the papers lack: table and JSON.

    SCGX_DATA_DIR=… python benchmarks/synergy.py [--quick] [--networks] [--splits pair drug]

O'Neil et al. (2016) as DeepDDS gives it: 36 drugs in 31 lines of 954 genes, repeats of a pair in a line removed. A random
split, and pairs, lines, drugs (one or both new) and both drugs held out; five folds. ``auto`` chooses inside each
training part. Beside them a simulated screen whose synergy depends on the molecules (``synergy_screen.py``). The JSON is
written after each split, and splits that were not asked for are kept. ``--quick``: two folds and no auto.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from synergy_screen import simulate_screen

import scgx

SPLITS = ("pair", "drug", "both_drugs", "line", "random")
METHODS = ["auto", "logistic", "pair_kernel", "boosting", "random_forest"]
NETWORKS = ["deepsynergy", "deepdds"]


def oneil() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs, and log expression of the lines."""
    data = scgx.datasets.load("synergy_deepdds")
    names = {"drug1": "drug_a", "drug2": "drug_b", "smiles1": "smiles_a", "smiles2": "smiles_b"}
    lines = data["cell_line_expression_954"].to_df()
    return data["pairs_12415"].rename(columns=names), np.log1p(lines)


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean over folds of both areas with the standard error, best first."""
    scores = frame[frame["metric"].isin(["auroc", "auprc"])]
    grouped = scores.groupby(["method", "metric"])["value"]
    out = pd.concat({"mean": grouped.mean(), "sem": grouped.sem(), "folds": grouped.count()}, axis=1).unstack("metric")
    out.columns = [metric if what == "mean" else f"{metric}_{what}" for what, metric in out.columns]
    return (
        out.drop(columns="auprc_folds").rename(columns={"auroc_folds": "folds"}).sort_values("auroc", ascending=False)
    )


def against_one_hot(frame: pd.DataFrame, method: str, n_draws: int = 2000) -> dict[str, float]:
    """AUROC of a method minus that of one-hot boosting: mean over folds, 95 % bootstrap over folds."""
    wide = frame[frame["metric"] == "auroc"].pivot_table(index="fold", columns="method", values="value")
    gain = (wide[method] - wide["one_hot"]).to_numpy()
    drawn = np.random.default_rng(0).choice(gain, (n_draws, len(gain))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    brier = scgx.bm.compare(frame, method, "one_hot")
    return {
        "auroc": gain.mean(),
        "auroc_low": low,
        "auroc_high": high,
        "brier_skill": brier.difference,
        "brier_skill_low": brier.low,
        "brier_skill_high": brier.high,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--networks", action="store_true", help="only the two networks, added to what was measured")
    parser.add_argument("--splits", nargs="*", default=SPLITS)
    parser.add_argument("--data", nargs="*", default=["oneil", "simulated"])
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    screen = simulate_screen() if "simulated" in arguments.data else None
    sources = {"oneil": oneil} | ({"simulated": lambda: screen[:2]} if screen else {})
    methods = NETWORKS if arguments.networks else [m for m in arguments.methods if m != "auto" or not arguments.quick]
    for data in arguments.data:
        pairs, expression = sources[data]()
        for split in arguments.splits:
            frame = scgx.bm.synergy(
                pairs,
                expression=expression,
                methods=methods,
                split=split,
                n_folds=2 if arguments.quick else 5,
                dataset=data,
            )
            found = table(frame)
            print(f"\n{data}, {frame['split'].iloc[0]}\n{found.round(3).to_string()}", flush=True)
            gains = {method: against_one_hot(frame, method) for method in methods}
            print(pd.DataFrame(gains).T.round(3).to_string(), flush=True)
            write(arguments.output, data, split, found, gains)


def write(path: Path, data: str, split: str, found: pd.DataFrame, gains: dict[str, dict[str, float]]) -> None:
    """Put the scores of a split into the JSON, beside what it has."""
    content = json.loads(path.read_text()) if path.exists() else {}
    content["scgx"] = scgx.__version__
    entry = content.setdefault(data, {}).setdefault(split, {"scores": {}, "minus_one_hot": {}})
    entry["scores"] |= found.round(4).T.to_dict()
    entry["minus_one_hot"] |= {
        method: {k: round(float(v), 4) for k, v in gain.items()} for method, gain in gains.items()
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
