"""What ``import scgx`` adds to ``import scanpy``, in fresh processes taken in turns.

python benchmarks/import_time.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

REPEATS = 7


def seconds(statement: str) -> float:
    start = time.perf_counter()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # users have bytecode
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    statements = ("import scanpy", "import scgx")
    for statement in statements:
        seconds(statement)  # bytecode and file cache
    times = {statement: [] for statement in statements}
    for _ in range(REPEATS):
        for statement in statements:
            times[statement].append(seconds(statement))
    median = {statement: statistics.median(values) for statement, values in times.items()}
    for statement, values in times.items():
        print(f"{statement}: median {median[statement]:.2f} s ({min(values):.2f} to {max(values):.2f})")
    added = [b - a for a, b in zip(*times.values(), strict=True)]
    print(f"import scgx adds {statistics.median(added):.2f} s (median of {REPEATS} pairs)")


if __name__ == "__main__":
    main()
