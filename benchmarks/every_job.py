"""Every job on the real data sets, two scripts at a time: what ``make bench`` runs.

    SCGX_DATA_DIR=… python benchmarks/every_job.py [--quick] [--jobs translation labels …] [--folder build/bench]

Each script runs with one thread, prints into ``<folder>/<job>.txt`` and writes its JSON there; the committed JSON files
come from the scripts run by themselves, in full. What takes long is left out: most networks, seeds after the first, nine of the
twelve directions of NCI-60, next experiments; their tables are in ``docs/``. A line a job tells its time and
where its table is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
PANELS = ("same_gene+kernel_ridge", "kernel_ridge", "ridge", "pls", "auto")
#: job → script and options, in full and quick; the longest first, so that none is left alone at the end
JOBS = {
    "translation": (
        ["translate_real.py", "--sets", "ccle", "l1000", "rat_liver", "--methods", *PANELS],
        ["translate_real.py", "--sets", "rat_liver", "nci60 agilent→hgu95", "--methods", *PANELS[:-1]],
    ),
    "drugs": (["drugs.py", "--parts", "cells", "pretraining", "--seeds", "0"], ["drugs.py", "--quick"]),
    "arrays": (["translate_real.py", "--sets", "nci60 agilent", "--methods", *PANELS], None),
    "species": (
        ["species.py", "--jobs", "genes", "organs", "response", "reactome"],
        ["species.py", "--quick", "--jobs", "genes", "organs", "response", "reactome"],
    ),
    "labels": (["labels.py", "--seconds", "10", "--no-fine-tuning"], ["labels.py", "--quick"]),
    "synergy": (
        ["synergy.py", "--data", "oneil", "--splits", "pair", "drug", "--methods", "pair_mean", "one_hot", "pair_kernel"],
        ["synergy.py", "--quick", "--data", "oneil", "--splits", "pair", "--methods", "one_hot", "pair_kernel"],
    ),
    "perturbation": (["perturb_real.py", "--sets", "kang", "norman", "a375", "--divisions", "20"], ["perturb_real.py", "--quick"]),
    "scale": (["translate_scale.py", "--quick"], ["translate_scale.py", "--quick"]),
}  # fmt: skip


def run(job: str, command: list[str], folder: Path) -> tuple[str, int, float]:
    """Job, exit status and seconds."""
    options = [*command, "--output", str(folder / f"{job}.json")]
    start = time.perf_counter()
    with (folder / f"{job}.txt").open("w") as out:
        done = subprocess.run(
            [sys.executable, str(HERE / options[0]), *options[1:]],
            stdout=out,
            stderr=subprocess.STDOUT,
            # numba raises the threads of torch again
            env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
            check=False,
        )
    seconds = time.perf_counter() - start
    print(f"{job}: {seconds:.0f} s, exit status {done.returncode}, {folder / f'{job}.txt'}", flush=True)
    return job, done.returncode, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a look at each job, in minutes")
    parser.add_argument("--jobs", nargs="*", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--folder", type=Path, default=HERE.parent / "build" / "bench")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    chosen = {job: JOBS[job][arguments.quick] for job in arguments.jobs}
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(run, job, command, arguments.folder) for job, command in chosen.items() if command]
        done = [one.result() for one in runs]
    failed = [job for job, status, _ in done if status]
    print(
        f"{len(done)} jobs in {(time.perf_counter() - start) / 60:.1f} minutes; failed: {', '.join(failed) or 'none'}"
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
