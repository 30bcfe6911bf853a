"""Draw the figures of docs/evaluation.md from real data; a few minutes.

    SCGX_DATA_DIR=… python docs/make_evaluation_figures.py

Writes docs/figures/*.svg. The scores of CCLE are read from benchmarks/translate_real.json, the rest is computed.
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scgx

DOCS = Path(__file__).parent
GREY, BLUE = "0.55", "C0"


def pairs_of_numbers(table: pd.DataFrame, name: str, title: str, xlabel: str) -> None:
    """One line a row of ``table``, from its first column (what misleads, grey) to its second (blue)."""
    table = table.sort_values(table.columns[1])
    fig, ax = plt.subplots(figsize=(6.4, 0.3 * len(table) + 1.4), layout="constrained")
    places = np.arange(len(table))
    ax.hlines(places, *table.to_numpy().T, color="0.8", lw=2, zorder=1)
    for column, color in zip(table, (GREY, BLUE), strict=True):
        ax.plot(table[column], places, "o", ms=7, color=color, label=column)
    ax.axvline(0, color="0.8", lw=1, zorder=0)
    ax.set_yticks(places, table.index)
    ax.set_xlabel(xlabel)
    ax.set_title(title, fontsize="medium")
    fig.legend(frameon=False, loc="outside lower center", ncols=2)
    ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(DOCS / "figures" / f"{name}.svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    print(f"\n{name}\n{table.round(3).to_string()}", flush=True)


def raw_correlation() -> None:
    scores = pd.DataFrame(json.loads((DOCS.parent / "benchmarks" / "translate_real.json").read_text())["scores"])
    table = scores[scores["dataset"] == "ccle"].set_index("method")[["pearson", "pearson_delta"]]
    table = table.rename(columns={"pearson": "raw values", "pearson_delta": "gene means taken out"})
    pairs_of_numbers(
        table, "raw_correlation", "CCLE, 1,000 array genes → 50 sequenced", "Pearson correlation over genes"
    )


def shared_controls() -> None:
    adata = scgx.datasets.load("norman2019_subset")
    columns = {}
    for label, n_divisions in (("shared controls", 0), ("independent halves", 40)):
        frame = scgx.bm.perturb(
            adata,
            perturbation_key="perturbation",
            control="control",
            separator="+",
            split="combination",
            methods=["linear"],
            n_divisions=n_divisions,
            dataset="Norman",
        )
        scores = scgx.bm.summary(frame[frame["split"].str.contains("2 of 2 seen alone")])
        columns[label] = scores.set_index("method")["pearson_delta"]
    table = pd.DataFrame(columns).drop(["no_change", "shuffled_pairs"])
    pairs_of_numbers(table, "shared_controls", "Norman, five doubles whose genes were seen alone", "pearson_delta")


def random_split() -> None:
    adata = scgx.datasets.load("l1000_a375_ljp")
    adata = adata[adata.obs["is_control"] | (adata.obs["smiles"].astype(str) != "")].copy()
    columns = {}
    for label, split in (("random split", "random"), ("drug never seen", "perturbation")):
        frame = scgx.bm.perturb(
            adata,
            perturbation_key="perturbation",
            control="control",
            smiles_key="smiles",
            dose_key="dose_value",
            split=split,
            methods=["kernel_ridge"],
            n_divisions=5,
            dataset="L1000",
        )
        columns[label] = scgx.bm.summary(frame).set_index("method").loc["kernel_ridge"]
    table = pd.DataFrame(columns).loc[["skill", "pearson_delta", "pearson_delta_mean"]].astype(float)
    pairs_of_numbers(table, "random_split", "L1000 A375, 59 kinase inhibitors × 6 doses, kernel ridge", "score")


if __name__ == "__main__":
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "scgx"}
    raw_correlation()
    random_split()
    shared_controls()
