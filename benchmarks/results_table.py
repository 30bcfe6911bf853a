"""Print the tables of README.md and docs/translation.md from the JSON files of the benchmarks.

python benchmarks/results_table.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
METHODS = (
    "auto", "sample_attention", "same_gene+kernel_ridge", "kernel_ridge", "anchored_transplatformer", "ridge", "mlp", "pls",
    "matrix_completion", "transplatformer", "random_forest", "tissue_mean", "quantile", "same_gene", "copy", "mean",
    "shuffled_pairs",
)  # fmt: skip


def accuracy() -> str:
    """Skill of every method, the twelve nci60 directions averaged; ¹ where fewer seeds ran than of others."""
    scores = pd.DataFrame(json.loads((HERE / "translate_real.json").read_text())["scores"])
    scores = scores[scores["dataset"] != "rat_liver"]
    sets = scores["dataset"].str.split().str[0]
    by_set = scores.assign(set=sets).pivot_table(index="method", columns="set", values=["skill", "seeds"])
    skill, seeds = by_set["skill"].reindex(METHODS), by_set["seeds"].reindex(METHODS)
    mark = (seeds < seeds.max()).map(lambda fewer: "¹" if fewer else "")
    table = skill.map(lambda value: "–" if pd.isna(value) else f"{value + 0:.3f}") + mark
    table = table[["ccle", "l1000", "nci60"]]
    return markdown(table.reset_index(), ["method", "ccle (464 pairs)", "L1000 (661)", "NCI-60 (60, mean of 12)"])


def intervals() -> str:
    """Coverage and width of the 90 % interval, beside that around the gene mean."""
    scores = pd.DataFrame(json.loads((HERE / "translate_real.json").read_text())["scores"])
    scores = scores[scores["dataset"].isin(["ccle", "l1000"]) & scores["method"].isin(["auto", "mean"])]
    table = scores[["dataset", "method", "coverage", "width"]].map(lambda v: f"{v:.3f}" if isinstance(v, float) else v)
    return markdown(table, ["set", "method", "coverage of the 90 % interval", "mean width"])


def cost() -> str:
    """Time and memory at the paper's size."""
    table = pd.DataFrame(json.loads((HERE / "translate_scale.json").read_text())["paper"])
    table = table[["method", "seconds", "times_scgx", "gb_above_data"]]
    return markdown(table, ["", "seconds", "times scgx", "GB above the data"])


def markdown(table: pd.DataFrame, header: list[str]) -> str:
    lines = [header, ["---"] * len(header), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    print(accuracy(), intervals(), cost(), sep="\n\n")
