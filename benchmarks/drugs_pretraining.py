"""What a masked profile tells: hidden changes, cell line, class and dose, on drugs held out (Table 1 of the paper, in form).

The epoch is chosen on the same held-out drugs, which flatters the network a little and no rival.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from drugs_screens import KEYS, a375, ht115, simulated
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scgx.model import DrugBERT
from scgx.model._drugbert_rows import Screen, read_screen
from scgx.model._drugbert_setup import setup_of
from scgx.train import grouped_split

FOUR = ("value", "line", "class", "dose")
MASKS = (0.15, 0.8)
VALIDATION = 0.2
SHRINKAGE = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9)


def rivals(screen: Screen, mask_ratio: float, seed: int) -> dict[str, dict[str, float]]:
    """Metrics of what is no network, on the drugs that the network has held out, by method.

    Hidden changes: the conditional mean of a normal distribution (covariances shrunk by as much
    as inner held-out drugs want), that is ridge regression on whichever
    genes are visible. Line, class and dose: linear models of profiles in which hidden changes are 0, as the network reads them.
    """
    table, change = screen.table, screen.change
    train, test = grouped_split(table["label"].to_numpy(), validation_size=VALIDATION, seed=seed)
    hidden = np.random.default_rng(seed).random(change.shape) < mask_ratio
    seen = np.where(hidden, 0, change)
    out = {"linear": {"mask_rmse": _conditional_rmse(change, hidden, table["label"].to_numpy(), (train, test))}}
    dose = table["log_dose"].to_numpy()
    if len(set(dose)) > 1:
        told = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11))).fit(seen[train], dose[train])
        out["linear"]["dose_rmse"] = float(np.sqrt(np.mean((told.predict(seen[test]) - dose[test]) ** 2)))
    for column, metric in (("context", "cell_accuracy"), ("drug_class", "drug_class_accuracy")):
        labels = table[column].to_numpy(dtype=str)
        if len(set(labels)) > 1:
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
            told = classifier.fit(seen[train], labels[train])
            out["linear"][metric] = float((told.predict(seen[test]) == labels[test]).mean())
    return out


def _conditional_rmse(
    change: np.ndarray, hidden: np.ndarray, drugs: np.ndarray, rows: tuple[np.ndarray, np.ndarray]
) -> float:
    train, test = rows
    inner, outer = grouped_split(drugs[train], validation_size=VALIDATION, seed=0)
    some = train[outer][:: max(len(outer) // 40, 1)]
    tried = {x: _conditional_errors(change, hidden, train[inner], some, x) for x in SHRINKAGE}
    best = min(tried, key=lambda x: np.mean(tried[x] ** 2))
    return float(np.sqrt(np.mean(_conditional_errors(change, hidden, train, test, best) ** 2)))


def _conditional_errors(
    change: np.ndarray, hidden: np.ndarray, train: np.ndarray, test: np.ndarray, shrinkage: float
) -> np.ndarray:
    """Errors of hidden changes of ``test``, with covariances between genes shrunk towards 0."""
    mean, covariance = change[train].mean(axis=0), np.cov(change[train], rowvar=False)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))
    errors = []
    for row in test:
        h, v = hidden[row], ~hidden[row]
        told = covariance[np.ix_(h, v)] @ np.linalg.solve(covariance[np.ix_(v, v)], change[row, v] - mean[v])
        errors.append(change[row, h] - mean[h] - told)
    return np.concatenate(errors)


def of_screen(name: str, adata: AnnData, keys: dict[str, Any], *, seed: int, max_epochs: int) -> list[dict[str, Any]]:
    """Rows of one screen."""
    DrugBERT.setup_anndata(adata, **keys)
    screen = read_screen(adata, setup_of(adata), wells=True, seed=seed)
    lacking = {"line": screen.table["context"].nunique() < 2, "class": screen.table["drug_class"].nunique() < 2}
    several = tuple(task for task in FOUR if not lacking.get(task, False))
    rows = []
    for mask_ratio in MASKS:
        title = f"{mask_ratio:.0%} hidden, drugs held out"
        methods = rivals(screen, mask_ratio, seed)
        for method, tasks in (("one task", ("value",)), (f"{len(several)} tasks", several)):
            model = DrugBERT(adata, seed=seed)
            options = {"validation_size": VALIDATION, "max_epochs": max_epochs, "accelerator": "cpu", "seed": seed}
            model.pretrain(tasks=tasks, mask_ratio=mask_ratio, progress=False, **options)
            methods[method] = model.pretraining["value"].to_dict()
            methods["constant"] = methods.get("constant", {}) | model.pretraining["constant"].to_dict()
        rows += [
            {"dataset": name, "split": title, "method": method, "metric": metric, "value": value}
            for method, values in methods.items()
            for metric, value in values.items()
        ]
    return rows


def run(arguments: argparse.Namespace) -> pd.DataFrame:
    """Table 1 in form, a row a method and metric."""
    quick, seed = arguments.quick, arguments.seeds[0]
    max_epochs = 2 if quick else 40
    screens = {"simulated bulk": (simulated(seed, quick=quick).bulk, KEYS | {"class_key": "mechanism"})}
    if not quick:
        screens |= {"a375": a375(), "ht115": ht115()}
    rows = []
    for name, (adata, keys) in screens.items():
        rows += of_screen(name, adata, keys, seed=seed, max_epochs=max_epochs)
    return pd.DataFrame(rows)
