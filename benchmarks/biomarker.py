"""Do translated legacy rows help to find a biomarker on the new panel? Tissue of cell lines, table and JSON.

    SCGX_DATA_DIR=… python benchmarks/biomarker.py [--method auto] [--seeds 3]

464 cell lines of 24 tissues, 1,000 array genes → 50 sequenced genes; a share of the training lines keeps its
sequencing, the rest is known by the array alone and translated. Tested on sequenced lines held out. Differences are
means over seeds × folds; the error bar is that of the seeds' means, since folds share their training rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from translate_real import paired

import scgx

SHARES = (0.1, 0.3, 0.6)
METRICS = ["auroc", "auprc", "balanced_accuracy", "macro_f1"]
METHODS = ["most_frequent", "measured", "translated", "measured+translated", "all_measured", "source"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    panels = scgx.datasets.load("ccle_affy_rnaseq")
    adata = paired(panels["affy1000"], panels["rnaseq50"])
    result = {}
    for share in SHARES:
        frame = pd.concat(
            scgx.bm.biomarker(
                adata, label_key="tissue", group_key="pair_id", method=arguments.method, measured=share, seed=seed
            ).assign(seed=seed)
            for seed in range(arguments.seeds)
        )
        table = frame.pivot_table(index="method", columns="metric", values="value").loc[METHODS, ["n_train", *METRICS]]
        scores = frame.pivot_table(index=["metric", "seed"], columns="method", values="value").loc[METRICS]
        gain = (scores["measured+translated"] - scores["measured"]).groupby("metric").agg(["mean", "sem"]).loc[METRICS]
        print(f"\n{share:.0%} of the training lines sequenced")
        print(table.round(3).to_string())
        print("gain of the translated rows")
        print(gain.round(3).T.to_string(), flush=True)
        result[share] = {"scores": table.round(4).T.to_dict(), "gain": gain.round(4).T.to_dict()}
    content = {"scgx": scgx.__version__, "method": arguments.method, "seeds": arguments.seeds, "shares": result}
    arguments.output.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
