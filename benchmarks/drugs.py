"""Drugs never tried: DrugBERT beside every rival, in bulk, in single cells and on real screens: tables and JSON.

    SCGX_DATA_DIR=… python benchmarks/drugs.py [--quick] [--parts pretraining cells real cost] [--seeds 0 1 2] [--workers 1]

``pretraining`` (Table 1 of Tan, Wang and Zhang, in form), ``cells`` (Tables 2 and 3 in form, on a simulated screen of real
molecules), ``real`` (L1000 A375 and HT115, Kang et al.) and ``cost`` (seconds an epoch). Parts that a run leaves out keep their
rows in the JSON file; ``--quick`` writes none. Intervals (95 %, bootstrap over drugs) are in the JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import time
import warnings
from pathlib import Path

import pandas as pd

import scgx

PARTS = ("pretraining", "cells", "real", "cost")
COLUMNS = ["part", "dataset", "split", "method", "metric", "value", "low", "high"]


def show(part: str, frame: pd.DataFrame, seconds: float) -> None:
    """Print one part: a table for each data set and split, a row a method, a column a metric."""
    print(f"\n{part}, {seconds:.0f} s")
    for (dataset, split), rows in frame.groupby(["dataset", "split"], sort=False):
        table = rows.pivot_table(index="method", columns="metric", values="value", sort=False)
        print(f"\n{dataset}: {split}\n{table.round(3).to_string()}", flush=True)


def merged(file: Path, frame: pd.DataFrame) -> list[dict[str, object]]:
    """New rows, and those of the file of other parts and data sets."""
    rows = json.loads(frame.to_json(orient="records", double_precision=5))
    old = json.loads(file.read_text())["rows"] if file.exists() else []
    made = set(zip(frame["part"], frame["dataset"], strict=True))
    kept = [row for row in old if (row["part"], row["dataset"]) not in made]
    return sorted([*kept, *rows], key=lambda row: PARTS.index(str(row["part"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small data, few epochs: does it run?")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--sets", nargs="*", help="of the part `real`: plates a375 ht115 kang auto")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="of the simulated screens")
    parser.add_argument("--workers", type=int, default=1, help="processes of the part `cells`")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    for part in arguments.parts:
        start = time.perf_counter()
        frame = importlib.import_module(f"drugs_{part}").run(arguments)
        frame = frame.assign(part=part).reindex(columns=COLUMNS)
        show(part, frame, time.perf_counter() - start)
        if not arguments.quick:
            content = {"scgx": scgx.__version__, "python": platform.python_version(), "seeds": arguments.seeds}
            content |= {"rows": merged(arguments.output, frame)}
            arguments.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
