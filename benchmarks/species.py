"""Every job between species, all baselines beside it: tables and JSON.

    SCGX_DATA_DIR=… python benchmarks/species.py [--quick] [--jobs genes organs …] [--seed 0]

``genes`` (gene maps), ``organs`` (labels), ``response`` (with the paper's Figs. 2 and 3 in form: raw values beside the
response alone), ``reactome`` (drug × organ cells never measured), ``experiments`` (what to measure next) and ``uge`` (the
paper's model in each of these). Jobs that a run leaves out keep their rows in the JSON file; ``--quick`` writes none.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import time
from pathlib import Path

import pandas as pd

import scgx

JOBS = ("genes", "organs", "response", "reactome", "experiments", "uge")


def show(job: str, frame: pd.DataFrame, seconds: float) -> None:
    """Print one job: a row a method, a column a metric. Intervals are in the JSON file."""
    index = ["dataset", "split", "method"]
    table = frame.pivot_table(index=index, columns="metric", values="value", sort=False)
    print(f"\n{job}, {seconds:.0f} s\n{table.round(3).to_string()}", flush=True)


def merged(file: Path, frame: pd.DataFrame) -> list[dict[str, object]]:
    """New rows, and those of the file of jobs that were not run."""
    rows = json.loads(frame.to_json(orient="records", double_precision=5))
    old = json.loads(file.read_text())["rows"] if file.exists() else []
    return rows + [row for row in old if row["job"] not in set(frame["job"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", nargs="*", choices=JOBS, default=JOBS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    frames = []
    for job in arguments.jobs:
        start = time.perf_counter()
        frame = importlib.import_module(f"species_{job}").run(quick=arguments.quick, seed=arguments.seed)
        frames.append(frame.assign(job=job))
        show(job, frames[-1], time.perf_counter() - start)
    if arguments.quick:
        return
    rows = merged(arguments.output, pd.concat(frames, ignore_index=True))
    result = {"scgx": scgx.__version__, "python": platform.python_version(), "seed": arguments.seed, "rows": rows}
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
