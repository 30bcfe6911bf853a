"""Which genes of two species behave alike? Recall of known partners by method, table on screen.

    SCGX_DATA_DIR=… python benchmarks/species_genes.py [--quick]

Organs: mouse ENCODE against rat BodyMap over their eight organs, all one-to-one orthologues expressed in both as
candidates, and mouse against mouse from two studies, the ceiling. Drugs: rat DrugMatrix, signatures of one organ × drug
in two halves. Simulation: diverged genes, whose orthologue is not the gene that behaves like them. Methods that learn
from orthologues are asked for others than those they learned from. Intervals: normal approximation over genes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
from anndata import AnnData

import scgx
from scgx._core import ortholog_pairs
from scgx.estimators import AnchoredCCA, GeneMapper, GeneTransport, ProfileSimilarity
from scgx.metrics import match_ranks
from scgx.selection import score_gene_map

JOB = "map_genes"


def run(*, quick: bool, seed: int) -> pd.DataFrame:
    """All parts, one row a metric."""
    parts = [_organs(quick, seed), _ceiling(quick, seed), _drug_halves(quick, seed), _simulated(quick, seed)]
    return pd.concat(parts, ignore_index=True)


def _organs(quick: bool, seed: int) -> pd.DataFrame:
    organs = scgx.datasets.load("organs")
    mouse, rat = organs["mouse_ENCODE_TissueEnrich"], organs["rat_bodymap_yu2014"]
    x, y, names, shared = _levels(mouse, rat, scgx.datasets.load("orthologs")["one2one_human_mouse_rat"])
    if quick:
        x, y, names = x[::6], y[::6], (names[0][::6], names[1][::6])
    here, there = x[:, shared[0]], y[:, shared[1]]
    split = f"{len(shared[0])} organs, {len(x)} genes"
    methods: dict[str, tuple[Callable[[], GeneMapper], np.ndarray, np.ndarray]] = {
        "reactome": (lambda: ProfileSimilarity(seed=seed), here, there),
        "transport, no anchors": (lambda: _unanchored(seed), here, there),
        "transport": (lambda: GeneTransport(seed=seed), here, there),
        "cca": (lambda: AnchoredCCA(seed), here, there),
        "cca, all organs of either": (lambda: AnchoredCCA(seed), x, y),
    }
    rows = _score("mouse → rat", split, "level + shape, plain", plain_ranks(here, there))
    for name, (make, a, b) in methods.items():
        rows += _score("mouse → rat", split, name, *_known_partners(make, a, b, seed))
    rows += _score("mouse → rat", split, "symbol, case ignored", _symbol_ranks(*names))
    return pd.DataFrame(rows)


def _ceiling(quick: bool, seed: int) -> pd.DataFrame:
    organs = scgx.datasets.load("organs")
    rows = []
    for study in ("mouse_Chevrier_PMEseq", "mouse_ENCODE_polyA"):
        x, y, _, shared = _levels(organs["mouse_ENCODE_TissueEnrich"], organs[study], None)
        step = 8 if quick else 1
        here, there = x[::step, shared[0]], y[::step, shared[1]]
        split = f"{len(shared[0])} organs, {len(here)} genes"
        for name, make in {"reactome": lambda: ProfileSimilarity(seed=seed), "cca": lambda: AnchoredCCA(seed)}.items():
            rows += _score(f"mouse ENCODE → {study}", split, name, *_known_partners(make, here, there, seed))
    return pd.DataFrame(rows)


def _drug_halves(quick: bool, seed: int) -> pd.DataFrame:
    adata = scgx.datasets.load("drugmatrix_full")
    first, second = _halves(adata, seed)
    rng, rows = np.random.default_rng(seed), []
    order = rng.permutation(first.shape[1])
    genes = np.arange(0, len(first), 4 if quick else 1)
    for n in (10, 100, len(order)):
        a, b = first[np.ix_(genes, order[:n])], second[np.ix_(genes, order[:n])]
        split = f"{n} conditions, {len(genes)} genes"
        methods = {"reactome": lambda: ProfileSimilarity(level_weight=0, seed=seed), "cca": lambda: AnchoredCCA(seed)}
        rows += _score("rat DrugMatrix halves", split, "level + shape, plain", plain_ranks(a, b))
        for name, make in methods.items():
            rows += _score("rat DrugMatrix halves", split, name, *_known_partners(make, a, b, seed))
    return pd.DataFrame(rows)


def _simulated(quick: bool, seed: int) -> pd.DataFrame:
    """Share of genes whose partner by function is among ten, all genes and the diverged ones."""
    rows = []
    for n_organs, n_drugs in ((2, 5), (4, 25)) if quick else ((2, 5), (4, 25), (10, 100)):
        truth = scgx.datasets.simulate_reactome(1000, n_organs, n_drugs, diverged=0.3, seed=seed)
        for side in (truth.query, truth.reference):
            design = {"drug_key": "drug", "organ_key": "organ", "design_keys": ("vehicle", "time")}
            scgx.pp.reactome(side, control="control", input_scale="log2", seed=seed, **design)
        table = truth.orthologs[["query", "reference"]]
        diverged = set(truth.orthologs.loc[truth.orthologs["kind"] == "diverged", "query"])
        for method in ("orthologs", "reactome", "cca"):
            scgx.tl.map_genes(truth.query, truth.reference, method=method, orthologs=table, n_permutations=0, seed=seed)
            hit = _partner_found(scgx.get.gene_map(truth.query), truth.functional_map, truth.query.var_names)
            groups = {"all genes": hit, "diverged genes": hit[[name in diverged for name in hit.index]]}
            for genes, found in groups.items():
                half = 1.96 * found.std(ddof=0) / np.sqrt(len(found))
                rows.append(
                    {
                        "job": JOB,
                        "dataset": f"simulated, {genes}",
                        "split": f"{n_organs * n_drugs} conditions, {len(found)} genes",
                        "method": method,
                        "metric": "recall_at_10",
                        "value": found.mean(),
                        "low": found.mean() - half,
                        "high": found.mean() + half,
                    }
                )
    return pd.DataFrame(rows)


def _partner_found(table: pd.DataFrame, truth: pd.DataFrame, genes: pd.Index) -> pd.Series:
    """Whether a partner by function is in the map, one value a query gene that has one."""
    true = truth.groupby("query")["reference"].agg(set)
    found = table.groupby("query_gene")["reference_gene"].agg(set)
    return pd.Series({gene: float(bool(true[gene] & found.get(gene, set()))) for gene in genes if gene in true})


def _levels(
    query: AnnData, reference: AnnData, table: pd.DataFrame | None
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], tuple[list[int], list[int]]]:
    """log2 expression per million of partners above 1 in an organ of both, genes × organs; names; shared organs."""
    here, there = query.var_names, reference.var_names
    pairs = ortholog_pairs(here, there, "symbol" if table is None else table)
    x, y = np.asarray(query.X).T[pairs.query], np.asarray(reference.X).T[pairs.reference]
    organ_x, organ_y = query.obs["organ"].astype(str).tolist(), reference.obs["organ"].astype(str).tolist()
    organs = [organ for organ in organ_x if organ in organ_y]
    shared = [organ_x.index(organ) for organ in organs], [organ_y.index(organ) for organ in organs]
    expressed = (_per_million(x)[:, shared[0]].max(axis=1) > 1) & (_per_million(y)[:, shared[1]].max(axis=1) > 1)
    symbols = [
        side.var["gene_symbol"].to_numpy(dtype=str)[at]
        for side, at in ((query, pairs.query), (reference, pairs.reference))
    ]
    x, y = (np.log2(_per_million(side[expressed]) + 1).astype(np.float32) for side in (x, y))
    return x, y, (symbols[0][expressed], symbols[1][expressed]), shared


def _per_million(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=0) * 1e6


def _halves(adata: AnnData, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Genes × organ-drug conditions from either half of each condition's doses and times."""
    X = adata.X.toarray().astype(np.float32)
    rng, halves = np.random.default_rng(seed), ([], [])
    condition = adata.obs["organ"].astype(str) + "|" + adata.obs["drug"].astype(str)
    for rows in condition.groupby(condition.to_numpy()).indices.values():
        if len(rows) > 1:
            order = rng.permutation(rows)
            for half, part in zip(halves, (order[::2], order[1::2]), strict=True):
                half.append(X[part].mean(axis=0))
    return np.column_stack(halves[0]), np.column_stack(halves[1])


def plain_ranks(query: np.ndarray, reference: np.ndarray, weight: float = 0.05) -> np.ndarray:
    """Correlation less the squared difference of standardised levels, nothing else."""
    sides = []
    for values in (query, reference):
        values = values - values.mean(axis=0)
        level = values.mean(axis=1)
        shape = values - level[:, None]
        shape /= np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-9)
        sides.append((shape, (level - level.mean()) / level.std()))
    (a, l_a), (b, l_b) = sides
    some = np.random.default_rng(0).permutation(len(a))[:3000]
    blocks = np.array_split(some, max(len(some) // 500, 1))
    return np.concatenate([match_ranks(a[rows] @ b.T - weight * (l_a[rows, None] - l_b) ** 2, rows) for rows in blocks])


def _known_partners(
    make: Callable[[], GeneMapper], query: np.ndarray, reference: np.ndarray, seed: int
) -> tuple[np.ndarray, float]:
    anchors = np.column_stack([np.arange(len(query))] * 2)
    scores = score_gene_map(make, query, reference, anchors, seed=seed)
    return scores.ranks, scores.foscttm


def _unanchored(seed: int) -> GeneMapper:
    class Unanchored(GeneTransport):
        def fit(self, query, reference, anchors=None):  # type: ignore[no-untyped-def]
            return super().fit(query, reference)

    return Unanchored(seed=seed)


def _symbol_ranks(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.where(np.char.lower(here) == np.char.lower(there), 1.0, np.nan)


def _score(dataset: str, split: str, method: str, ranks: np.ndarray, foscttm: float = np.nan) -> list[dict]:
    reciprocal = np.nan_to_num(1 / ranks)
    values = {f"recall_at_{k}": np.asarray(ranks <= k, dtype=float) for k in (1, 10, 100)}
    rows = []
    for metric, value in {**values, "mean_reciprocal_rank": reciprocal}.items():
        half = 1.96 * value.std() / np.sqrt(len(value))
        rows.append({"metric": metric, "value": value.mean(), "low": value.mean() - half, "high": value.mean() + half})
    rows.append({"metric": "foscttm", "value": foscttm, "low": np.nan, "high": np.nan})
    return [{"job": JOB, "dataset": dataset, "split": split, "method": method, **row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    frame = run(quick=arguments.quick, seed=arguments.seed)
    table = frame.pivot_table(index=["dataset", "split", "method"], columns="metric", values="value", sort=False)
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
