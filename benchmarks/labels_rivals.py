"""Labels by what the paper compares with (its Table 2, in form): precision, F1 and recall of rare labels on held-out folds.

    python benchmarks/labels_rivals.py [--quick] [--sets pbmc68k kang2018_labelled …] [--seconds 30] [--no-fine-tuning]

Sets and folds are those of ``labels.py``. "ACTINN": perceptron of 100, 50 and 25 units after the filter of genes by sum and variation;
trained until its loss stops falling, since the published 50 epochs are 200 to 600 steps here. "singleCellNet": a random forest on pairs of genes
of which one exceeds the other, the pairs chosen a label. "CellTypist" is its package (with scikit-learn < 1.8, which it
needs), "scVI" scvi-tools: its embedding of all rows without labels, batches told, and logistic regression; it needs counts.
"scBERT" is in ``labels_scbert.py``. XTrimoGene ("small") and scBERT are pre-trained on all rows without labels for
``--seconds`` of processor time each. Both are fine-tuned on the first fold only, scBERT for as long as XTrimoGene took. Needs
SCGX_DATA_DIR. Results go to labels_rivals.json, by set.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import scvi
import sklearn
import torch
from anndata import AnnData
from labels import BATCH, LABEL, keep, load, score
from labels_scbert import ScBertLabels, pretrain
from packaging.version import Version
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from xtrimogene_training import trained

from scgx.estimators import BaseLabelClassifier, BlockLabels, LogisticLabels, RowBlocks, SklearnLabels
from scgx.selection import label_folds, majority_labels
from scgx.tl._label_encoder import label_candidates, row_blocks


class FilteredGenes(TransformerMixin, BaseEstimator):
    """ACTINN's: genes without the lowest and highest 1 % by sum, then by coefficient of variation; dense."""

    def fit(self, X: Any, y: Any = None) -> Self:
        dense = X.toarray()
        total = dense.sum(0)
        self.kept_ = np.flatnonzero(within_percentiles(total) & (total > 0))
        part = dense[:, self.kept_]
        self.kept_ = self.kept_[within_percentiles(part.std(0) / part.mean(0))]
        return self

    def transform(self, X: Any) -> np.ndarray:
        return X[:, self.kept_].toarray()


class TopPairs(TransformerMixin, BaseEstimator):
    """singleCellNet's: of the genes that go most with or against each label, pairs whose order goes most with it."""

    def __init__(self, n_genes: int = 10, n_pairs: int = 25) -> None:
        self.n_genes = n_genes
        self.n_pairs = n_pairs

    def fit(self, X: Any, y: np.ndarray) -> Self:
        dense, labels = X.toarray(), np.unique(y)
        is_label = (y[:, None] == labels).astype(np.float32)
        order = np.argsort(-correlations(dense, is_label), axis=0)
        genes = np.unique(np.concatenate([order[: self.n_genes], order[-self.n_genes :]]))
        first, second = np.triu_indices(len(genes), 1)
        first, second = genes[first], genes[second]
        r = correlations((dense[:, first] > dense[:, second]).astype(np.float32), is_label)
        self.pairs_ = np.unique(
            np.concatenate([self._best(r[:, k], first, second) for k in range(len(labels))]), axis=0
        )
        return self

    def _best(self, r: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Pairs with the highest |r|, a gene at most three times."""
        chosen, used = [], dict.fromkeys(np.unique([first, second]), 0)
        for k in np.argsort(-np.abs(r)):
            pair = first[k], second[k]
            if max(used[gene] for gene in pair) < 3 and len(chosen) < self.n_pairs:
                chosen.append(pair)
                used[pair[0]], used[pair[1]] = used[pair[0]] + 1, used[pair[1]] + 1
        return np.array(chosen)

    def transform(self, X: Any) -> np.ndarray:
        a, b = self.pairs_.T
        return X[:, a].toarray() > X[:, b].toarray()


class CellTypistLabels(BaseLabelClassifier):
    """CellTypist with its defaults: scaled genes, one-against-rest logistic regression, the best match."""

    def fit(self, X: Any, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        import celltypist

        genes = np.arange(X.shape[1]).astype(str)
        self.model_ = celltypist.train(X, y, genes, check_expression=False, n_jobs=1)
        self.classes_, self.kept_ = self.model_.classifier.classes_, self.model_.features.astype(int)
        return self

    def predict_proba(self, X: Any, *, batch: np.ndarray | None = None) -> np.ndarray:
        scaler = self.model_.scaler
        scaled = (X[:, self.kept_].toarray() - scaler.mean_) / scaler.scale_
        return self.model_.predict_labels_and_prob(scaled.clip(max=10))[1]  # as celltypist.annotate does


def within_percentiles(x: np.ndarray) -> np.ndarray:
    low, high = np.percentile(x, [1, 99])
    return (x >= low) & (x <= high)


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Columns of x × columns of y; 0 where one does not vary."""
    x, y = x - x.mean(0), y - y.mean(0)
    norm = np.linalg.norm(x, axis=0)[:, None] * np.linalg.norm(y, axis=0)
    return (x.T @ y) / np.where(norm > 0, norm, np.inf)


def celltypist_works() -> bool:
    if importlib.util.find_spec("celltypist") is None:
        print("CellTypist is not installed: no such row", flush=True)
        return False
    if Version(sklearn.__version__) >= Version("1.8"):
        print(f"CellTypist needs scikit-learn < 1.8, found {sklearn.__version__}: no such row", flush=True)
        return False
    logging.getLogger("celltypist").setLevel(logging.ERROR)
    return True


def closed_rivals(seed: int = 0) -> dict[str, BaseLabelClassifier]:
    """Those that read genes alone, and learn in seconds."""
    perceptron = MLPClassifier((100, 50, 25), alpha=0.005, batch_size=128, max_iter=300, random_state=seed)
    forest = RandomForestClassifier(500, class_weight="balanced_subsample", n_jobs=1, random_state=seed)
    rivals: dict[str, BaseLabelClassifier] = {
        "ACTINN": SklearnLabels(make_pipeline(FilteredGenes(), perceptron)),
        "singleCellNet": SklearnLabels(make_pipeline(TopPairs(), forest)),
    }
    return rivals | ({"CellTypist": CellTypistLabels()} if celltypist_works() else {})


def scvi_latent(adata: AnnData, batch_key: str | None, max_epochs: int | None = None) -> np.ndarray:
    """Latent means of all cells; scvi-tools' defaults."""
    scvi.settings.seed = 0
    scvi.settings.verbosity = logging.ERROR
    scvi.model.SCVI.setup_anndata(adata, layer="counts", batch_key=batch_key)
    model = scvi.model.SCVI(adata)
    model.train(max_epochs, accelerator="cpu", enable_progress_bar=False, logger=False)
    return model.get_latent_representation()


def measure(name: str, seconds: float, *, quick: bool, fine_tuning: bool) -> Iterator[dict[str, Any]]:
    """Results of a set so far."""
    adata = load(name)
    y = adata.obs[LABEL.get(name, "cell_type")].astype(str).to_numpy(dtype=str)
    batch = None if BATCH[name] is None else adata.obs[BATCH[name]].astype(str).to_numpy(dtype=str)
    genes = adata.X.tocsr().astype(np.float32)
    model, training = trained(adata, seconds, 0, {"batch_size": 16})
    tokens, of_scbert = pretrain(genes, seconds)
    blocks = dict(row_blocks(adata, np.arange(adata.n_obs), genes, model).blocks)
    candidates = label_candidates("auto", model, seed=0)
    tuned = candidates.pop("fine_tuned")
    full: dict[str, Any] = {"majority": majority_labels(), **candidates}
    full |= {method: BlockLabels(rival, "genes") for method, rival in closed_rivals().items()}
    if "counts" in adata.layers:
        started = time.process_time()
        blocks["scvi"] = scvi_latent(adata, BATCH[name], 2 if quick else None)
        training |= {"scvi_seconds": time.process_time() - started}
        full["scVI"] = BlockLabels(LogisticLabels(), "scvi")
    else:
        print(f"{name} has no counts: no scVI", flush=True)
    X, rows = RowBlocks(blocks), []
    result = {"pretraining": training, "scbert_pretraining": of_scbert, "rows": rows}

    def add(fold: int, method: str, candidate: Any, train: np.ndarray, test: np.ndarray) -> float:
        started = time.process_time()
        scores = score(candidate, X, y, batch, train, test)
        rows.append({"fold": fold, "method": method, **scores, "processor_seconds": time.process_time() - started})
        return rows[-1]["processor_seconds"]

    folds = label_folds(y, batch, n_folds=5, seed=0)[0]
    for fold, (train, test) in enumerate(folds[:1] if quick else folds):
        for method, candidate in full.items():
            add(fold, method, candidate, train, test)
        yield result
    if not (fine_tuning or quick):
        return
    took = seconds if quick else add(0, "fine_tuned", tuned, *folds[0])
    yield result
    add(0, "scBERT", BlockLabels(ScBertLabels(tokens, took), "genes"), *folds[0])
    yield result


def tables(results: dict[str, Any]) -> Iterator[pd.DataFrame]:
    frame = pd.DataFrame([row | {"set": name} for name, result in results.items() for row in result["rows"]])
    for metric in ("macro_f1", "macro_precision", "rare_recall", "processor_seconds"):
        for title, part in (
            ("", frame[~frame["method"].isin(["fine_tuned", "scBERT"])]),
            (", first fold", frame[frame["fold"] == 0]),
        ):
            table = part.pivot_table(index="method", columns="set", values=metric, sort=False)
            yield table.rename_axis(columns=metric + title)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one fold of one set, 2 s of training; nothing is written")
    parser.add_argument("--sets", nargs="+", choices=list(BATCH), default=list(BATCH))
    parser.add_argument("--seconds", type=float, default=30, help="of processor time for each pre-training")
    parser.add_argument("--no-fine-tuning", action="store_true", help="leave out what takes longest, scBERT too")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    quick, fine_tuning, results = arguments.quick, not arguments.no_fine_tuning, {}
    for name in ["cellbench_3lines"] if quick else arguments.sets:
        for result in measure(name, 2 if quick else arguments.seconds, quick=quick, fine_tuning=fine_tuning):
            results[name] = result
            print(f"{time.strftime('%H:%M:%S')} {name}: {len(results[name]['rows'])} rows", flush=True)
            if not quick:
                keep(arguments.output, name, result)
    for table in tables(results):
        print(table.round(3).to_string(), end="\n\n")


if __name__ == "__main__":
    main()
