"""Time and memory of ridge regression with a penalty per target, at the TransPlatformer paper's size and around it.

    python benchmarks/translate_scale.py [--quick] [--auto]

Simulated pairs, 2,000 × 8,565 → 22,794, 11 penalties. ``scgx`` chooses them by grouped 5-fold cross-validation,
scikit-learn's ``RidgeCV`` by leave-one-out, himalaya's ``KernelRidgeCV`` by the same folds. Each measurement runs in
a process of its own; memory is the peak above what stood before the fit, the data among it. ``--auto`` measures all that
``tl.translate`` does there by itself instead: every candidate cross-validated, the stack, the intervals.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

PAPER = (2000, 8565, 22794)
PENALTIES = np.logspace(-3, 2, 11)
CURVE = (
    [(n, 2000, 4000) for n in (250, 500, 1000, 2000)]
    + [(1000, p, 4000) for p in (1000, 4000, 16000)]
    + [(1000, 2000, m) for m in (1000, 8000, 32000)]
)


def simulate(n: int, p: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sixty shared programs and noise; five rows a group."""
    rng = np.random.default_rng(0)
    programs = rng.standard_normal((n, 60), dtype=np.float32)
    X = programs @ rng.standard_normal((60, p), dtype=np.float32)
    X += 2 * rng.standard_normal((n, p), dtype=np.float32)
    Y = programs @ rng.standard_normal((60, m), dtype=np.float32)
    Y += 3 * rng.standard_normal((n, m), dtype=np.float32)
    return X, Y, np.arange(n) // 5


def fit_scgx(X: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> None:
    from scgx.estimators import KernelRidge

    KernelRidge(kernel="linear", scalings=("standard",), penalties=PENALTIES).fit(X, Y, groups=groups)


def fit_sklearn(X: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> None:
    from sklearn.linear_model import RidgeCV

    X -= X.mean(axis=0)
    X /= X.std(axis=0)
    RidgeCV(alphas=PENALTIES * X.shape[1], alpha_per_target=True).fit(X, Y)


def fit_himalaya(X: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> None:
    from himalaya.kernel_ridge import KernelRidgeCV
    from sklearn.model_selection import GroupKFold, PredefinedSplit

    X -= X.mean(axis=0)
    X /= X.std(axis=0)
    fold = np.empty(len(X))
    for k, (_, test) in enumerate(GroupKFold(5, shuffle=True, random_state=0).split(X, groups=groups)):
        fold[test] = k
    KernelRidgeCV(alphas=PENALTIES * X.shape[1], kernel="linear", cv=PredefinedSplit(fold)).fit(X, Y)


def fit_auto(X: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> None:
    import anndata as ad

    import scgx

    source, target = ad.AnnData(X, obs={"compound": groups.astype(str)}), ad.AnnData(Y)
    target.var_names = [f"target {name}" for name in target.var_names]
    scgx.pp.add_target(source, target)
    del target, Y
    translator = scgx.tl.Translator(group_key="compound").fit(source)
    print(translator.scores().round(4).to_string(), flush=True)


RIDGE = {"scgx": fit_scgx, "scikit-learn RidgeCV": fit_sklearn, "himalaya KernelRidgeCV": fit_himalaya}
FITS = RIDGE | {"auto": fit_auto}


def _measure(method: str, size: tuple[int, int, int], queue: multiprocessing.Queue) -> None:
    import scgx.estimators  # noqa: F401 (imports are not part of the fit)

    X, Y, groups = simulate(*size)
    before = psutil.Process().memory_info().rss
    start = time.perf_counter()
    processor = time.process_time()
    FITS[method](X, Y, groups)
    processor = time.process_time() - processor
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    queue.put((seconds, processor, (peak - before) / 2**30))


def measure(method: str, size: tuple[int, int, int]) -> dict[str, object]:
    """Seconds and GB above the data, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(method, size, queue))
    process.start()
    seconds, processor, memory = queue.get()
    process.join()
    n, p, m = size
    row = {"method": method, "n": n, "p": p, "m": m, "seconds": round(seconds, 2), "cpu_seconds": round(processor, 2)}
    row["gb_above_data"] = round(memory, 2)
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the paper's genes, no curve")
    parser.add_argument("--auto", action="store_true", help="the default of tl.translate, and nothing else")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("translate_scale.json"))
    arguments = parser.parse_args()
    size = (1000, 856, 2279) if arguments.quick else PAPER
    if arguments.auto:
        row = measure("auto", size)
        if not arguments.quick:
            result = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
            arguments.output.write_text(json.dumps(result | {"auto": [row]}, indent=1) + "\n")
        return
    rows = [measure(method, size) for method in RIDGE]
    curve = [] if arguments.quick else [measure("scgx", point) for point in CURVE]
    table = pd.DataFrame(rows)
    table["times_scgx"] = (table["seconds"] / table["seconds"].iloc[0]).round(1)
    print("\n" + table.to_string(index=False))
    if curve:
        print("\n" + pd.DataFrame(curve).to_string(index=False))
        result = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
        result |= {"paper": table.to_dict("records"), "curve": curve}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
