"""Labels within a species: every candidate of ``tl.transfer_labels`` on four sets, with many labels and with few.

    python benchmarks/labels.py [--quick] [--sets pbmc68k kang2018_labelled …] [--seconds 30]

Held out: a technology (pbmc_symphony), a donor (kang2018_labelled), a fifth of the rows (pbmc68k, cellbench_3lines, which name no
batches); few labels are drawn three times in each of the first two folds. XTrimoGene ("small") is pre-trained on all rows of the set without their labels, as it would be on a query at hand;
"pca" (50 components of the same rows, then logistic regression) is the control for that. "fine_tuned" is scored on the first
fold only, and is not among the candidates of "auto" here. Needs SCGX_DATA_DIR. Results go to labels.json, by set.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
import torch
from anndata import AnnData
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import precision_score
from xtrimogene_training import trained

import scgx
from scgx.estimators import BlockLabels, LogisticLabels, RowBlocks
from scgx.metrics import classification_scores
from scgx.selection import AutoLabels, label_folds, majority_labels
from scgx.tl._label_encoder import label_candidates, row_blocks

BATCH = {"pbmc68k": None, "pbmc_symphony": "batch", "kang2018_labelled": "donor", "cellbench_3lines": None}
LABEL = {"pbmc68k": "bulk_labels"}
FEW, FEW_FOLDS, DRAWS, RARE = (1, 5, 20), 2, 3, 0.05


def load(name: str) -> AnnData:
    if name == "pbmc68k":
        reduced = sc.datasets.pbmc68k_reduced()
        return AnnData(reduced.raw.X, obs=reduced.obs, var=reduced.raw.var[[]])
    adata = scgx.datasets.load(name)
    if name != "pbmc_symphony":  # which is log-normalised
        adata.layers["counts"] = adata.X.copy()
        sc.pp.normalize_total(adata, target_sum=1e4)
        sc.pp.log1p(adata)
    return adata


def score(
    candidate: Any, X: RowBlocks, y: np.ndarray, batch: Any, train: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
    of_train, of_test = (None if batch is None else batch[rows] for rows in (train, test))
    fitted = clone(candidate).fit(X[train], y[train], batch=of_train)
    predicted = fitted.predict(X[test], batch=of_test)
    classes, count = np.unique(y[train], return_counts=True)
    rare = np.isin(y[test], classes[count < RARE * len(train)])
    scores = classification_scores(y[test], predicted)
    return {
        "macro_f1": float(scores["macro_f1"]),
        "macro_precision": float(
            precision_score(y[test], predicted, labels=np.unique(y[test]), average="macro", zero_division=0)
        ),
        "balanced_accuracy": float(scores["balanced_accuracy"]),
        "rare_recall": float((predicted == y[test])[rare].mean()) if rare.any() else float("nan"),
        "chosen": getattr(fitted, "chosen_", ""),
    }


def few(y: np.ndarray, train: np.ndarray, k: int, seed: int) -> np.ndarray:
    """At most ``k`` training rows of each label."""
    order = np.random.default_rng(seed).permutation(train)
    return np.sort(np.concatenate([order[y[order] == label][:k] for label in np.unique(y[train])]))


def measure(name: str, seconds: float, *, quick: bool, fine_tuning: bool) -> Iterator[dict[str, Any]]:
    """Results of a set so far, after each fold and each fine-tuning."""
    adata = load(name)
    y = adata.obs[LABEL.get(name, "cell_type")].astype(str).to_numpy(dtype=str)
    batch = None if BATCH[name] is None else adata.obs[BATCH[name]].astype(str).to_numpy(dtype=str)
    model, training = trained(adata, seconds, 0, {"batch_size": 16})
    blocks = dict(row_blocks(adata, np.arange(adata.n_obs), adata.X.tocsr().astype(np.float32), model).blocks)
    blocks["pca"] = PCA(50, svd_solver="arpack", random_state=0).fit_transform(blocks["genes"])
    X = RowBlocks(blocks)
    candidates = label_candidates("auto", model, seed=0)
    tuned = candidates.pop("fine_tuned")
    auto = AutoLabels(dict(candidates))
    full = {"majority": majority_labels(), **candidates, "pca": BlockLabels(LogisticLabels(), "pca"), "auto": auto}
    found: list[dict[str, Any]] = []

    def add(labels: int | str, fold: int, method: str, candidate: Any, train: np.ndarray, test: np.ndarray) -> None:
        scores = score(candidate, X, y, batch, train, test)
        found.append({"labels": labels, "fold": fold, "method": method, **scores})

    folds = label_folds(y, batch, n_folds=5, seed=0)[0]
    for fold, (train, test) in enumerate(folds[:1] if quick else folds):
        for method, candidate in full.items():
            add("all", fold, method, candidate, train, test)
        for k, draw in ((k, draw) for k in FEW for draw in range(DRAWS if fold < FEW_FOLDS else 0)):
            for method in ("logistic_regression", "pca", "embedding"):
                add(k, fold, method, full[method], few(y, train, k, draw), test)
        yield {"pretraining": training, "rows": found}
    train, test = folds[0]
    for k in (5, 20, "all") if fine_tuning else ():
        add(k, 0, "fine_tuned", tuned, train if k == "all" else few(y, train, k, 0), test)
        yield {"pretraining": training, "rows": found}


def tables(results: dict[str, Any]) -> Iterator[pd.DataFrame]:
    frame = pd.DataFrame([row | {"set": name} for name, result in results.items() for row in result["rows"]])
    whole = frame[frame["labels"] == "all"]
    for metric in ("macro_f1", "macro_precision", "rare_recall"):
        yield whole.pivot_table(index="method", columns="set", values=metric, sort=False).rename_axis(metric)
    part = frame[frame["labels"] != "all"]
    yield part.pivot_table(index=["labels", "method"], columns="set", values="macro_f1", sort=False)
    first = frame[frame["fold"] == 0]
    yield first.pivot_table(index=["labels", "method"], columns="set", values="macro_f1", sort=False).rename_axis(
        columns="first fold, first draws"
    )


def keep(file: Path, name: str, result: dict[str, Any]) -> None:
    """Results of a set, beside those of others that the file has."""
    done = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(done | {name: result}, indent=1).replace("NaN", "null") + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one fold of one set, 2 s of training; nothing is written")
    parser.add_argument("--sets", nargs="+", choices=list(BATCH), default=list(BATCH))
    parser.add_argument("--seconds", type=float, default=30, help="of processor time for the pre-training, each set")
    parser.add_argument("--no-fine-tuning", action="store_true", help="leave out what takes longest")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    seconds = 2 if arguments.quick else arguments.seconds
    fine_tuning = not (arguments.quick or arguments.no_fine_tuning)
    results: dict[str, Any] = {}
    for name in ["pbmc68k"] if arguments.quick else arguments.sets:
        for result in measure(name, seconds, quick=arguments.quick, fine_tuning=fine_tuning):
            results[name] = result
            if not arguments.quick:
                keep(arguments.output, name, result)
    for table in tables(results):
        print(table.round(3).to_string(), end="\n\n")


if __name__ == "__main__":
    main()
