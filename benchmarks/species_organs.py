"""Organ labels between species: with orthologues, with few genes, and without any gene names.

    SCGX_DATA_DIR=… python benchmarks/species_organs.py [--quick]

Profiles are log2(TPM-like + 1). Without names the query's genes are shuffled first. The statistics and the weights of
``structure`` were settled on pairs of mouse and human studies; those pairs are marked so, the rat pairs are the test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.optimize import linear_sum_assignment, quadratic_assignment

import scgx
from scgx.estimators import match_structure
from scgx.estimators._anchor_transport import transported_cost
from scgx.estimators._profile_shape import own_cost, profile_shape

JOB = "transfer_labels"
RAT = {"rat_bodymap_yu2014": "rat BodyMap", "rat_Fushan2015": "rat Fushan"}
REFERENCES = {
    "mouse_ENCODE_TissueEnrich": "mouse ENCODE",
    "mouse_ENCODE_polyA": "mouse ENCODE polyA",
    "mouse_Chevrier_PMEseq": "mouse PME-seq",
    "mouse_Fushan2015": "mouse Fushan",
    "human_HPA_TissueEnrich": "human HPA",
}
FEWEST_ORGANS = 3
N_NULL = 10_000


def read() -> dict[str, AnnData]:
    """Studies by name, log2 of expression per million."""
    data = scgx.datasets.load("organs")
    studies = {}
    for name, title in (REFERENCES | RAT).items():
        adata = data[name].copy()
        X = np.nan_to_num(np.asarray(adata.X, dtype=np.float64))
        adata.X = np.log2(1e6 * X / X.sum(axis=1, keepdims=True) + 1).astype(np.float32)
        adata.obs["organ"] = adata.obs["organ"].astype(str)
        studies[title] = adata
    return studies


def shared_organs(query: AnnData, reference: AnnData) -> tuple[AnnData, AnnData]:
    """Both on the organs that both have, in the same order."""
    names = sorted(set(query.obs["organ"]) & set(reference.obs["organ"]))
    both = [adata[[list(adata.obs["organ"]).index(name) for name in names]].copy() for adata in (query, reference)]
    return both[0], both[1]


def pairs(studies: dict[str, AnnData], *, rat: bool) -> Iterator[tuple[str, str, AnnData, AnnData]]:
    """Query and reference studies on at least three shared organs: to rat, or (once each) among mouse and human."""
    for query in RAT.values() if rat else REFERENCES.values():
        for reference in REFERENCES.values():
            if rat or query < reference:
                q, r = shared_organs(studies[query], studies[reference])
                if q.n_obs >= FEWEST_ORGANS:
                    yield query, reference, q, r


def row(dataset: str, split: str, method: str, value: float, draws: list[float] | None = None) -> dict[str, object]:
    low, high = (np.nan, np.nan) if draws is None else np.quantile(draws, [0.025, 0.975])
    entry = {"job": JOB, "dataset": dataset, "split": split, "method": method, "metric": "accuracy"}
    return entry | {"value": float(value), "low": float(low), "high": float(high)}


def with_orthologs(studies: dict[str, AnnData]) -> Iterator[dict[str, object]]:
    """Every method, organs in common and all organs of the reference."""
    for query, reference in (
        ("rat BodyMap", "mouse ENCODE"),
        ("rat Fushan", "mouse Fushan"),
        ("rat BodyMap", "human HPA"),
        ("rat Fushan", "human HPA"),
    ):
        q, r = shared_organs(studies[query], studies[reference])
        for method in ("centroid", "knn", "logistic_regression"):
            for label, other in (
                (f"{q.n_obs} organs", r),
                (f"{q.n_obs} of {studies[reference].n_obs} organs", studies[reference]),
            ):
                for batch_key in (None, "study") if method == "centroid" else (None,):
                    name = method + (", centred by study" if batch_key else "")
                    value = accuracy(q, other, method=method, batch_key=batch_key, orthologs="one2one")
                    yield row(f"{reference} → {query}", f"orthologues, {label}", name, value)


def accuracy(query: AnnData, reference: AnnData, **options: object) -> float:
    asked = AnnData(query.X, obs=query.obs[["study"]], var=query.var[[]])  # the answer is not handed over
    done = scgx.tl.transfer_labels(asked, reference, label_key="organ", copy=True, **options)
    return float((done.obs["organ_transferred"].astype(str) == query.obs["organ"].astype(str)).mean())


def few_genes(studies: dict[str, AnnData], n_draws: int, seed: int) -> Iterator[dict[str, object]]:
    """Mouse ENCODE → rat BodyMap, eight organs, on random one-to-one orthologues."""
    from scgx._core import ortholog_pairs

    q, r = shared_organs(studies["rat BodyMap"], studies["mouse ENCODE"])
    table = scgx.datasets.load("orthologs")["one2one_human_mouse_rat"]
    genes = ortholog_pairs(q.var_names, r.var_names, table)
    q, r = q[:, genes.query].copy(), r[:, genes.reference].copy()
    q.var_names = r.var_names
    rng = np.random.default_rng(seed)
    for n_genes in (10, 30, 100):
        draws = [rng.choice(q.n_vars, n_genes, replace=False) for _ in range(n_draws)]
        for method, batch_key in (
            ("centroid", None),
            ("centroid", "study"),
            ("knn", None),
            ("logistic_regression", None),
            ("auto", "study"),
        ):
            values = [accuracy(q[:, kept], r[:, kept], method=method, batch_key=batch_key) for kept in draws]
            name = method + (", centred by study" if batch_key else "")
            yield row("mouse ENCODE → rat BodyMap", f"{n_genes} genes, {n_draws} draws", name, np.mean(values), values)


def baselines(q: np.ndarray, r: np.ndarray) -> dict[str, np.ndarray]:
    """What each known way to match by structure assigns to the query rows."""
    import ot

    a, b = np.corrcoef(q), np.corrcoef(r)
    uniform = np.full(len(q), 1 / len(q))
    rng = np.random.default_rng(0)
    # one start ends anywhere: the best of 50 is the optimum, or close to it
    ends = [quadratic_assignment(a, b, method="2opt", options={"maximize": True, "rng": rng}) for _ in range(50)]
    best = max(ends, key=lambda end: end.fun)
    coupling = ot.gromov.gromov_wasserstein(1 - a, 1 - b, uniform, uniform)
    return {
        "quadratic assignment of correlations (scipy)": best.col_ind,
        "Gromov–Wasserstein (POT)": linear_sum_assignment(-coupling)[1],
        "profile shape alone": linear_sum_assignment(own_cost(profile_shape(q), profile_shape(r)))[1],
        "structure": match_structure(q, r).assignment,
    }


def without_names(studies: dict[str, AnnData], *, rat: bool, quick: bool, seed: int) -> Iterator[dict[str, object]]:
    """All pairs of studies: each, the mean and its permutation null; organs held out one at a time; anchors."""
    rng = np.random.default_rng(seed)
    kind = "no gene names" if rat else "no gene names, settled on these"
    found: dict[str, list[float]] = {}
    sizes, one_less, anchored = (
        [],
        [],
        {(name, k): [] for name in ("structure", "gene transport alone") for k in (2, 4)},
    )
    for query, reference, q, r in pairs(studies, rat=rat):
        Q, R = np.asarray(q.X)[:, rng.permutation(q.n_vars)], np.asarray(r.X)
        n = len(Q)
        every = np.arange(n)
        sizes.append(n)
        for method, match in baselines(Q, R).items():
            value = float((match == every).mean())
            found.setdefault(method, []).append(value)
            if method == "structure":
                yield row(f"{reference} → {query}", f"{kind}, {n} organs", method, value)
        if quick or n <= FEWEST_ORGANS:
            continue
        for out in every:
            kept = every[every != out]
            one_less.append((match_structure(Q[kept], R[kept]).assignment == np.arange(n - 1)).mean())
        for k in (2, 4):
            for _ in range(4 if n > k + 1 else 0):
                anchors = np.full(n, -1)
                known = rng.choice(n, k, replace=False)
                anchors[known] = known
                asked = anchors < 0
                cost = transported_cost(Q, R, anchors)
                alone = linear_sum_assignment(cost[np.ix_(asked, asked)])[1] == np.arange(asked.sum())
                joint = match_structure(Q, R, anchors=anchors).assignment[asked] == every[asked]
                anchored["gene transport alone", k].append(alone.mean())
                anchored["structure", k].append(joint.mean())
    null = np.mean([[(rng.permutation(n) == np.arange(n)).mean() for n in sizes] for _ in range(N_NULL)], axis=1)
    everything = f"mean of {len(sizes)} pairs of studies"
    for method, values in found.items():
        yield row(everything, kind, method, np.mean(values))
        p = (1 + (null >= np.mean(values) - 1e-12).sum()) / (1 + N_NULL)
        yield row(everything, kind, method, p) | {"metric": "permutation p"}
    yield row(everything, kind, "permuted labels", null.mean(), list(null))
    if one_less:
        yield row(everything, f"{kind}, one organ held out", "structure", np.mean(one_less))
    for (method, k), values in anchored.items():
        if values:
            yield row(everything, f"{kind}, {k} anchors, others scored", method, np.mean(values))


def open_set(studies: dict[str, AnnData]) -> Iterator[dict[str, object]]:
    """The reference has organs that the query lacks: what structure cannot do."""
    for reference in ("mouse ENCODE", "human HPA"):
        q, _ = shared_organs(studies["rat BodyMap"], studies[reference])
        asked = q[:, np.random.default_rng(0).permutation(q.n_vars)]
        value = accuracy(asked, studies[reference], method="structure")
        split = f"no gene names, {q.n_obs} of {studies[reference].n_obs} organs"
        yield row(f"{reference} → rat BodyMap", split, "structure", value)


def run(*, quick: bool, seed: int) -> pd.DataFrame:
    """All parts, one row a figure; ``low`` and ``high`` are 95 % of the draws."""
    studies = read()
    rows = [*with_orthologs(studies), *few_genes(studies, 3 if quick else 30, seed)]
    rows += [*without_names(studies, rat=True, quick=quick, seed=seed), *open_set(studies)]
    if not quick:
        rows += without_names(studies, rat=False, quick=True, seed=seed)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few draws, no held-out organs, no anchors")
    print(run(quick=parser.parse_args().quick, seed=0).drop(columns="job").round(3).to_string())
