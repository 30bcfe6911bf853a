"""Predictions of perturbation responses on real cells beside figures measured before this code was written.

    SCGX_DATA_DIR=… python benchmarks/perturb_real.py [--quick] [--sets kang norman a375]

Sets: ``kang`` (interferon β on PBMC, one cell type left out at a time), ``norman`` (CRISPR activation: doubles by how many
of their genes were measured alone, and genes never seen), ``a375`` (59 kinase inhibitors × 6 doses, unseen drugs; not with
``--quick``). Each is scored with independent control halves, and with the same control cells on both sides, which is
optimistic: some of the earlier figures are of that kind.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import scgx
from scgx.metrics import average, e_distance, mse_top20_de, pearson

#: set, split, method, metric → figure; controls: whether the earlier figure shared them between truth and prediction
EXPECTED = [
    ("kang", "leave one cell_type out", "no_change", "pearson_delta", 0.0, "shared"),
    ("kang", "leave one cell_type out", "mean_delta", "pearson_delta", 0.826, "shared"),
    ("kang", "leave one cell_type out", "similarity_weighted", "pearson_delta", 0.881, "shared"),
    ("kang", "leave one cell_type out", "ot_ridge", "pearson_delta", 0.735, "shared"),
    ("kang", "leave one cell_type out", "other_donor", "pearson_delta", 0.896, "shared"),
    ("kang", "leave one cell_type out", "no_change", "mse_top20", 6.73, "shared"),
    ("kang", "leave one cell_type out", "mean_delta", "mse_top20", 1.14, "shared"),
    ("kang", "leave one cell_type out", "similarity_weighted", "mse_top20", 0.41, "shared"),
    ("kang", "leave one cell_type out", "ot_ridge", "mse_top20", 0.27, "shared"),
    ("kang", "leave one cell_type out", "other_donor", "mse_top20", 0.12, "shared"),
    ("kang", "leave one cell_type out", "no_change", "e_distance", 504, "shared"),
    ("kang", "leave one cell_type out", "mean_delta", "e_distance", 144, "shared"),
    ("kang", "leave one cell_type out", "similarity_weighted", "e_distance", 41, "shared"),
    ("kang", "leave one cell_type out", "ot_ridge", "e_distance", 65, "shared"),
    ("kang", "leave one cell_type out", "other_donor", "e_distance", 8, "shared"),
    ("norman", "combinations, 2 of 2 seen alone", "mean_delta", "pearson_delta", 0.05, "halves"),
    ("norman", "combinations, 2 of 2 seen alone", "additive", "pearson_delta", 0.644, "halves"),
    ("norman", "combinations, 2 of 2 seen alone", "additive", "pearson_delta", 0.870, "shared"),
    ("norman", "combinations, 2 of 2 seen alone", "linear", "pearson_delta", 0.718, "halves"),
    ("norman", "combinations, 2 of 2 seen alone", "split_half", "pearson_delta", 0.74, "halves"),
    ("norman", "combinations, 1 of 2 seen alone", "additive", "pearson_delta", 0.681, "halves"),
    ("norman", "combinations, 1 of 2 seen alone", "split_half", "pearson_delta", 0.92, "halves"),
    ("norman", "combinations, 0 of 2 seen alone", "linear", "pearson_delta", 0.514, "halves"),
    ("norman", "combinations, 0 of 2 seen alone", "split_half", "pearson_delta", 0.89, "halves"),
    ("norman", "grouped by perturbation", "mean_delta", "pearson_delta", 0.15, "halves"),
    ("norman", "grouped by perturbation", "kernel_ridge", "pearson_delta", 0.12, "halves"),
    ("a375", "grouped by perturbation", "mean_delta", "pearson_delta", 0.298, "shared"),
    ("a375", "grouped by perturbation", "tanimoto_knn", "pearson_delta", 0.287, "shared"),
    ("a375", "grouped by perturbation", "ridge", "pearson_delta", 0.306, "shared"),
    ("a375", "grouped by perturbation", "kernel_ridge", "pearson_delta", 0.315, "shared"),
    ("a375", "grouped by perturbation", "random_forest", "pearson_delta", 0.316, "shared"),
    ("a375", "grouped by perturbation", "tanimoto_knn", "skill", 0.022, "shared"),
    ("a375", "grouped by perturbation", "ridge", "skill", 0.042, "shared"),
    ("a375", "grouped by perturbation", "kernel_ridge", "skill", 0.049, "shared"),
    ("a375", "grouped by perturbation", "random_forest", "skill", 0.052, "shared"),
]
SHARED = ", shared controls (optimistic)"
COMMON = {"perturbation_key": "perturbation", "control": "control"}


def kang() -> ad.AnnData:
    adata = scgx.datasets.load("kang2018_labelled")
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


def go_terms(genes: set[str]) -> pd.DataFrame:
    """Biological-process annotations of each gene, 0 or 1; a gene without any has a row of zeros."""
    go = scgx.datasets.load("gene_graph")["gene2go_direct"]
    go = go[(go["ontology"] == "BP") & go["symbol"].isin(genes)]
    return pd.crosstab(go["symbol"], go["go_id"]).clip(upper=1).reindex(sorted(genes), fill_value=0)


def frames(name: str, n_divisions: int) -> Iterator[pd.DataFrame]:
    """Result of each split of a set."""
    if name == "kang":
        options = {"context_key": "cell_type", "replicate_key": "donor", "split": "context"}
        yield scgx.bm.perturb(kang(), **COMMON, **options, n_divisions=n_divisions, dataset=name)
    elif name == "norman":
        adata = scgx.datasets.load("norman2019_subset")
        genes = {gene for label in adata.obs["perturbation"] for gene in label.split("+")} - {"control"}
        for split, features in (("combination", None), ("perturbation", go_terms(genes))):
            methods = ["linear"] if features is None else ["linear", "tanimoto_knn", "kernel_ridge"]
            options = {"separator": "+", "split": split, "features": features, "methods": methods}
            # more folds than genes: one gene at a time
            yield scgx.bm.perturb(adata, **COMMON, **options, n_folds=99, n_divisions=n_divisions, dataset=name)
    else:
        adata = scgx.datasets.load("l1000_a375_ljp")
        adata = adata[adata.obs["is_control"] | (adata.obs["smiles"].astype(str) != "")].copy()
        options = {"smiles_key": "smiles", "dose_key": "dose_value"}
        yield scgx.bm.perturb(adata, **COMMON, **options, n_divisions=min(n_divisions, 5), dataset=name)


def kang_cells() -> pd.DataFrame:
    """Two rows of the earlier table that are no response of a condition: regression on paired cells, another donor.

    Paired cells: optimal transport pairs control with treated cells within each training type, ridge regression
    predicts the treated cell. The other donor is compared against the *same* control cells, as it was then;
    ``other_replicate`` of ``bm.perturb`` takes those of its own donor.
    """
    adata = kang()
    X, treated = adata.X.toarray().astype(np.float64), ~adata.obs["is_control"].to_numpy(dtype=bool)
    kind, donor = (adata.obs[key].to_numpy(dtype=str) for key in ("cell_type", "donor"))
    rows = []
    for left_out in np.unique(kind):
        held_out = (kind == left_out) & treated
        space = PCA(50, random_state=0).fit(X[~held_out])
        start, truth = X[(kind == left_out) & ~treated], X[held_out]
        pairs = [paired_cells(X, space, (kind == other) & treated, (kind == other) & ~treated)
                 for other in np.unique(kind) if other != left_out]  # fmt: skip
        first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
        predicted = start + Ridge(1.0).fit(X[first], X[second] - X[first]).predict(start)
        rows.append(cell_scores("ot_ridge", truth, predicted, start.mean(axis=0), space))
        for own, other in (("101", "107"), ("107", "101")):
            control = X[(kind == left_out) & ~treated & (donor == own)].mean(axis=0)
            sides = (X[held_out & (donor == name)] for name in (own, other))
            rows.append(cell_scores("other_donor", *sides, control, space))
    table = pd.DataFrame(rows).groupby("method").mean().reset_index().melt("method", var_name="metric")
    return table.assign(dataset="kang", split="leave one cell_type out", controls="shared")


def paired_cells(X: np.ndarray, space: PCA, treated: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of control and treated cells that optimal transport pairs, one to one."""
    rows = np.flatnonzero(control), np.flatnonzero(treated)
    cost = cdist(*(space.transform(X[side]) for side in rows), "sqeuclidean")
    first, second = linear_sum_assignment(cost)
    return rows[0][first], rows[1][second]


def cell_scores(
    method: str, truth: np.ndarray, predicted: np.ndarray, control: np.ndarray, space: PCA
) -> dict[str, str | float]:
    true, guess = (cells.mean(axis=0, keepdims=True) - control for cells in (truth, predicted))
    return {
        "method": method,
        "pearson_delta": average(pearson(true, guess)),
        "mse_top20": average(mse_top20_de(true, guess)),
        "e_distance": e_distance(space.transform(truth), space.transform(predicted), squared=True),
    }


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Earlier figures and those of the package, with halved and with shared controls."""
    columns = ["dataset", "split", "method", "metric"]
    values = table.pivot_table(index=columns, columns="controls", values="value")
    wanted = pd.DataFrame(EXPECTED, columns=[*columns, "expected", "expected_controls"])
    wanted = wanted[wanted["dataset"].isin(table["dataset"])]
    result = wanted.join(values, on=columns)
    same = np.where(result["expected_controls"] == "shared", result["shared"], result["halves"])
    return result.assign(difference=same - result["expected"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 divisions of the controls, and no a375")
    parser.add_argument("--sets", nargs="*", default=["kang", "norman", "a375"])
    parser.add_argument("--divisions", type=int, default=100, help="divisions of the control cells")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("perturb_real.json"))
    arguments = parser.parse_args()
    parts, summaries = [], []
    for name in arguments.sets:
        if arguments.quick and name == "a375":
            continue
        for controls, n_divisions in (("halves", 10 if arguments.quick else arguments.divisions), ("shared", 0)):
            table = pd.concat([scgx.bm.summary(frame) for frame in frames(name, n_divisions)])
            print(
                f"\n{name}, controls: {controls}\n{table.drop(columns='dataset').round(3).to_string(index=False)}",
                flush=True,
            )
            summaries.append(table)
            long = table.melt(["dataset", "split", "role", "method"], var_name="metric")
            parts.append(long.assign(split=long["split"].str.removesuffix(SHARED), controls=controls))
    if "kang" in arguments.sets:
        parts.append(kang_cells())
    comparison = side_by_side(pd.concat(parts))
    print("\nbeside figures measured before; the difference is to the column of the same kind of controls")
    print(comparison.round(3).to_string(index=False))
    result = {
        "scgx": scgx.__version__,
        "python": platform.python_version(),
        "scores": json.loads(pd.concat(summaries).to_json(orient="records", double_precision=5)),
        "comparison": json.loads(comparison.to_json(orient="records", double_precision=5)),
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
