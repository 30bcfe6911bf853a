"""Gene perturbations: the graph network beside every closed form, by what was seen; tables and JSON.

    SCGX_DATA_DIR=… python benchmarks/perturbation.py [--quick] [--jobs norman simulated] [--graphs graph graph_pca …]
        [--xtrimogene DIRECTORY] [--seed 0]

Strata: a single never seen (with all of its combinations held out), and doubles of which 0, 1 or 2 genes were measured
alone. Measured changes and predictions are taken against different halves of the control cells; every method sees the
same folds and halves. Intervals are bootstraps over conditions: there are few, so they describe and prove little.

``graph`` reads values of genes; ``graph_pca``, ``graph_go``, ``graph_xtrimogene`` and ``graph_xtrimogene_screen`` read
embeddings of genes: loadings of control cells, gene sets, an XTrimoGene in the context of control cells, pre-trained on the
control cells (or saved, ``--xtrimogene``) and on all cells of the screen, which have their perturbation withheld.
``graph_focus`` has the exponent of GEARS; ``graph_nothing`` knows nothing of perturbations. ``gain`` is that in skill over
the best closed form, ``gain_values`` that over ``graph``, in pairs. Jobs and graphs that a run leaves out keep their rows in
the JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from perturbation_simulated import simulated_screen
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import BaseCrossValidator

import scgx
from scgx.estimators import BaseResponse, PerturbationGraph
from scgx.selection import n_singles_seen, paired_bootstrap

CLOSED = ("mean_delta", "no_change", "additive", "linear", "tanimoto_knn", "bilinear", "ridge", "kernel_ridge")
XTRIMOGENE = {"graph_xtrimogene": 100, "graph_xtrimogene_screen": 10}  # epochs at most; a minute of one core
GRAPHS = ("graph", "graph_pca", "graph_go", *XTRIMOGENE, "graph_focus", "graph_nothing")
METRICS = ("mse_top20", "mse", "pearson_delta_top20", "pearson_delta")
KEYS = {"perturbation_key": "perturbation", "control": "control", "separator": "+"}


class Doubles(BaseCrossValidator):
    """Some doubles held out at a time; all singles and other doubles are training."""

    def __init__(self, n_folds: int, seed: int) -> None:
        self.n_folds, self.seed = n_folds, seed

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        doubles = np.flatnonzero(["+" in label for label in groups])
        for part in np.array_split(np.random.default_rng(self.seed).permutation(doubles), self.n_folds):
            yield np.setdiff1d(np.arange(len(groups)), part), np.sort(part)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return self.n_folds


def norman() -> tuple[AnnData, pd.DataFrame, pd.DataFrame]:
    """Cells, gene sets of the perturbed genes (0 where none is known), gene sets of the measured genes."""
    adata = scgx.datasets.load("norman2019_subset")
    sets = scgx.datasets.load("gene_graph")["GO_Biological_Process_2021"]
    labels = adata.obs["perturbation"].astype(str).unique()
    names = sorted({name for label in labels for name in label.split("+")} - {"control"})
    features = scgx.datasets.gene_set_features(sets, names).reindex(names, fill_value=0)
    return adata, features, scgx.datasets.gene_set_features(sets, adata.var_names)


def xtrimogene(cells: AnnData, max_epochs: int) -> scgx.model.XTrimoGene:
    """A small model of its own for these cells; the weights of the best epoch on a tenth of them."""
    cells = cells.copy()
    scgx.model.XTrimoGene.setup_anndata(cells, input_scale="log1p")
    model, start = scgx.model.XTrimoGene(cells, size="small"), time.process_time()
    model.train(max_epochs, patience=15, accelerator="cpu", progress=False)
    loss = np.asarray(model.history["validation_loss"]).ravel()
    best = f"loss {loss.min():.3f} in epoch {loss.argmin() + 1} of {len(loss)}"
    print(f"XTrimoGene, {cells.n_obs} cells: {best}, {time.process_time() - start:.0f} CPU s", flush=True)
    return model


def embeddings(
    adata: AnnData, gene_sets: pd.DataFrame, names: list[str], saved: Path | None, quick: bool
) -> dict[str, np.ndarray]:
    """Embeddings of the measured genes (genes × d) by the name of the graph that reads them."""
    controls = adata[adata.obs["perturbation"] == "control"]
    X = np.asarray(controls.X.todense() if hasattr(controls.X, "todense") else controls.X)
    reduced = TruncatedSVD(20, random_state=0).fit_transform(gene_sets.to_numpy(dtype=float))
    out = {
        "graph_pca": TruncatedSVD(20, random_state=0).fit(X - X.mean(axis=0)).components_.T,
        "graph_go": pd.DataFrame(reduced, index=gene_sets.index).reindex(adata.var_names).to_numpy(),
    }
    for name in [name for name in names if name in XTRIMOGENE]:
        cells = controls if name == "graph_xtrimogene" else adata
        if saved is None or cells is adata:
            model = xtrimogene(cells, 1 if quick else XTRIMOGENE[name])
        else:
            model = scgx.model.XTrimoGene.load(saved)
        known = [gene for gene in adata.var_names if gene in set(model.genes)]
        values = model.get_gene_embeddings(controls, genes=known, average=True)
        out[name] = pd.DataFrame(values, index=known).reindex(adata.var_names).to_numpy()
    return out


def graph(name: str, features: pd.DataFrame, given: dict[str, np.ndarray], seed: int, quick: bool) -> BaseResponse:
    """An estimator by name."""
    return PerturbationGraph(
        None if name == "graph_nothing" else features,
        embeddings=given.get(name),
        focus=2.0 if name == "graph_focus" else 0.0,
        max_epochs=3 if quick else 50,
        patience=8,
        seed=seed,
    )


def score(
    adata: AnnData,
    features: pd.DataFrame,
    methods: dict[str, BaseResponse],
    *,
    n_divisions: int,
    quick: bool,
    seed: int,
) -> pd.DataFrame:
    """One row a tested condition, method and metric, with its stratum."""
    frames = []
    for title in ("unseen", "doubles"):
        split = "perturbation" if title == "unseen" else Doubles(2 if quick else 4, seed)
        options = {"n_folds": 2 if quick else 5, "n_divisions": n_divisions, "seed": seed, "split": split}
        closed = scgx.bm.perturb(adata, **KEYS, features=features, methods=CLOSED, **options)
        frame = scgx.bm.perturb(adata, **KEYS, features=features, methods=methods, **options) if methods else closed
        own = frame[frame["method"].isin([*methods, "split_half"])]
        both = pd.concat(
            [closed[closed["method"] != "split_half"], own if methods else closed.query("method == 'split_half'")]
        )
        frames.append(both[both["group"] != ""].assign(stratum=title))
    table = pd.concat(frames)
    alone = [(label,) for label in adata.obs["perturbation"].astype(str).unique() if "+" not in label]
    seen = {group: n_singles_seen([*alone, tuple(group.split("+"))])[-1] for group in table["group"].unique()}
    is_double = table["group"].str.contains("+", regex=False)
    unseen = np.where(is_double, "double, both genes held out", "single, held out")
    doubles = "double, " + table["group"].map(seen).astype(str) + " of 2 seen alone"
    return table.assign(stratum=np.where(table["stratum"] == "unseen", unseen, doubles))


def interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of the mean, resampling conditions."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def gain_over(
    rival: str, title: str, own: pd.Series, error: pd.DataFrame, reference: np.ndarray, seed: int
) -> dict[str, float]:
    """Gain in skill over a rival with its 95 % interval."""
    gain = paired_bootstrap(own.to_numpy(), error[rival].to_numpy(), reference, seed=seed)
    return {title: gain.difference, f"{title}_low": gain.low, f"{title}_high": gain.high}


def summarise(table: pd.DataFrame, n_genes: int, seed: int) -> list[dict[str, Any]]:
    """Mean and interval of each metric by stratum and method, and the gain in skill over each closed form's best."""
    wide = table.pivot_table(index=["stratum", "group", "method"], columns="metric", values="value").reset_index()
    wide["mse"] = wide["squared_error"] / n_genes
    rows = []
    for stratum, part in wide.groupby("stratum"):
        error = part.pivot(index="group", columns="method", values="squared_error")
        reference = part.groupby("group")["reference_squared_error"].mean().to_numpy()
        closed = [name for name in CLOSED if name in error]
        best = min(closed, key=lambda name: error[name].sum())
        for method, own in part.groupby("method"):
            row = {"stratum": stratum, "method": method, "n": len(own), "best_closed": best}
            row["skill"] = float(1 - error[method].to_numpy().sum() / reference.sum())
            for metric in METRICS:
                row[metric] = float(own[metric].mean())
                row[f"{metric}_low"], row[f"{metric}_high"] = interval(own[metric].to_numpy(), seed)
            if len(own) > 1:
                row |= gain_over(best, "gain", error[method], error, reference, seed)
                if method.startswith("graph_") and "graph" in error:
                    row |= gain_over("graph", "gain_values", error[method], error, reference, seed)
            rows.append(row)
    return rows


def run(job: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one data set."""
    quick, seed = arguments.quick, arguments.seed
    if job == "norman":
        adata, features, gene_sets = norman()
        given = embeddings(adata, gene_sets, arguments.graphs, arguments.xtrimogene, quick)
    else:
        adata, features = simulated_screen(seed=seed, **({"n_names": 16, "n_doubles": 12} if quick else {}))
        given = {}
    names = [name for name in arguments.graphs if name in given or name in ("graph", "graph_focus", "graph_nothing")]
    methods = {name: graph(name, features, given, seed, quick) for name in names}
    n_divisions = 2 if job == "norman" and not quick else 1
    table = score(adata, features, methods, n_divisions=n_divisions, quick=quick, seed=seed)
    return [{"job": job, **row} for row in summarise(table, adata.n_vars, seed)]


def merged(file: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """New rows, and those of the file that this run did not make."""
    made = set(product(*(sorted({row[key] for row in rows}) for key in ("job", "method"))))
    old = json.loads(file.read_text())["rows"] if file.exists() else []
    return sorted(
        [*rows, *(row for row in old if (row["job"], row["method"]) not in made)],
        key=lambda row: (row["job"], row["stratum"], -row["skill"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", nargs="*", choices=("norman", "simulated"), default=("norman", "simulated"))
    parser.add_argument("--graphs", nargs="*", choices=GRAPHS, default=GRAPHS)
    parser.add_argument("--xtrimogene", type=Path, help="a saved scgx.model.XTrimoGene for graph_xtrimogene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    for job in arguments.jobs:
        start = time.perf_counter()
        rows = run(job, arguments)
        table = pd.DataFrame(rows)
        gains = [column for column in table if column.startswith("gain")]
        columns = ["stratum", "n", "method", "skill", *METRICS, *gains, "best_closed"]
        table = table[columns].sort_values(["stratum", "skill"], ascending=[True, False])
        print(f"\n{job}, {time.perf_counter() - start:.0f} s\n{table.round(3).to_string(index=False)}", flush=True)
        if not arguments.quick:
            result = {"scgx": scgx.__version__, "python": platform.python_version(), "seed": arguments.seed}
            content = result | {"rows": merged(arguments.output, rows)}
            arguments.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
