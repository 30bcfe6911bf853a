"""Responses from mouse (and others) to rat: Hagai 2018, LPS and poly(I:C), gene-wise nested cross-validation."""

from __future__ import annotations

import argparse

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

import scgx
from scgx._core.species_responses import match_responses
from scgx.estimators import SpeciesResponses
from scgx.selection import TRANSFERS, nested_transfer

QUERY = "rat"
#: what is held out of the rat, and whether features of genes are given: a gene known under the other stimulus; one
#: never measured; a stimulus never measured
SETTINGS = (("cell", True), ("gene", True), ("condition", True))
#: organ expression a species, and the column with the genes' names in that species
ORGANS = {"mouse_ENCODE_TissueEnrich": "mouse_symbol", "rat_bodymap_yu2014": "rat_symbol"}
MORE_ORGANS = {"human_HPA_TissueEnrich": "human_symbol"}


def read(*, quick: bool) -> tuple[AnnData, AnnData]:
    """Rat, and the other species, over the genes of both experiments, with features in ``.varm["features"]``."""
    parts = []
    for part in scgx.datasets.load("hagai2018").values():
        part = part.copy()
        symbol = part.var["mouse_symbol"].astype(str)
        # one name for the genes of both experiments: the symbol, where it is unambiguous
        usable = ~symbol.isin(["", "nan"]) & ~symbol.duplicated(keep=False)
        part.var_names = np.where(usable, symbol, part.var_names.astype(str))
        p = np.nan_to_num(np.asarray(part.layers["padj"], dtype=float), nan=1.0)
        part.layers["evidence"] = np.sign(part.X) * np.minimum(-np.log10(np.maximum(p, 1e-30)), 30)
        parts.append(part)
    both = ad.concat(parts, join="outer", merge="first", fill_value=np.nan)
    symbols = pd.concat([p.var[["human_symbol", "mouse_symbol", "rat_symbol"]] for p in parts])
    both.var = symbols[~symbols.index.duplicated()].reindex(both.var_names)
    if quick:
        both = both[:, np.random.default_rng(0).permutation(both.n_vars)[:2500]].copy()
    query, reference = both[both.obs["species"] == QUERY].copy(), both[both.obs["species"] != QUERY].copy()
    organs = scgx.datasets.load("organs")
    blocks = [_expression(organs[name], both.var[column]) for name, column in (ORGANS | MORE_ORGANS).items()]
    # how sure each change of a source species is; the rat's own tests are not used
    query.varm["features"] = np.hstack([reference.layers["evidence"].T, *blocks]).astype(np.float32)
    return query, reference


def _expression(organs: AnnData, symbols: pd.Series) -> np.ndarray:
    """log2 expression by organ of each symbol, NaN where not known."""
    names = pd.Index(organs.var["gene_symbol"].astype(str))
    keep = ~names.duplicated()
    position = names[keep].get_indexer(symbols.astype(str))
    values = np.log2(np.asarray(organs[:, keep].X, dtype=float) + 1).T
    return np.where(position[:, None] >= 0, values[position], np.nan)


def predictions(query: AnnData, reference: AnnData, split: str, *, features: bool, seed: int) -> dict[str, np.ndarray]:
    """Predictions of the rat's responses, conditions × genes; ``auto`` is chosen within each outer fold."""
    matched = match_responses(
        query,
        reference,
        orthologs=None,
        on=["stimulus"],
        species_key="species",
        features="features" if features else None,
        layer=None,
    )
    responses = SpeciesResponses(matched.query, matched.reference, matched.features)
    total: dict[str, np.ndarray] = {}
    for fold in nested_transfer(responses, list(TRANSFERS), split, matched.groups, seed=seed, progress=split):
        for name, values in fold.predictions.items():
            kept = total.setdefault(name, np.full(values.shape, np.nan))
            kept[fold.hidden] = values[fold.hidden]
    return total


def _scores(y: np.ndarray, predicted: np.ndarray, center: np.ndarray, strong: np.ndarray) -> dict[str, float]:
    def r(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1]) if min(np.ptp(a), np.ptp(b)) > 1e-5 else 0.0

    return {
        "r": r(y, predicted),
        "r_delta": r(y - center, predicted - center),
        "mae": float(np.abs(y - predicted).mean()),
        "sign_accuracy": float((np.sign(y) == np.sign(predicted))[strong].mean()),
    }


def score(
    predicted: dict[str, np.ndarray], query: AnnData, reference: AnnData, *, n_resamples: int, seed: int
) -> list[dict[str, object]]:
    """Scores over all genes with their difference to orthologue copy, 95 % intervals by paired bootstrap over genes."""
    rng = np.random.default_rng(seed)
    rows = []
    for c, stimulus in enumerate(query.obs["stimulus"]):
        y = np.asarray(query.X[c], dtype=float)
        used = np.isfinite(y)
        center = np.nanmean(reference[reference.obs["stimulus"] == stimulus].X[:, used], axis=0)
        strong = (query.layers["padj"][c] < 0.05)[used] & (np.abs(y[used]) >= 1)
        draws = [rng.integers(0, used.sum(), used.sum()) for _ in range(n_resamples)]
        arguments = {name: (y[used], values[c, used], center, strong) for name, values in predicted.items()}
        drawn = {n: pd.DataFrame([_scores(*(a[d] for a in args)) for d in draws]) for n, args in arguments.items()}
        at = {name: _scores(*args) for name, args in arguments.items()}
        for name in predicted:
            for metric, value in at[name].items():
                low, high = np.quantile(drawn[name][metric], [0.025, 0.975])
                rows.append(
                    {"dataset": stimulus, "method": name, "metric": metric, "value": value, "low": low, "high": high}
                )
                difference = drawn[name][metric] - drawn["copy"][metric]
                low, high = np.quantile(difference, [0.025, 0.975])
                gain = value - at["copy"][metric]
                rows.append(
                    {"dataset": stimulus, "method": name, "metric": f"{metric} − copy", "value": gain}
                    | {"low": low, "high": high}
                )
        up = float((y[used][strong] > 0).mean())
        rows.append({"dataset": stimulus, "method": "majority", "metric": "sign_accuracy", "value": max(up, 1 - up)})
    return rows


def raw_beside_delta(*, quick: bool, seed: int) -> list[dict[str, object]]:
    """R² of raw profiles by organ under drugs new to the query, beside R² of the changes (UGE, Figs. 2 and 3, in form).

    Simulated: no drug reactome of two species is at hand. Copying the control is the row to look at.
    """
    simulated = scgx.datasets.simulate_reactome(n_genes=300, n_organs=4, n_drugs=10 if quick else 20, seed=seed)
    sides = {}
    for side in ("query", "reference"):
        samples = getattr(simulated, side)
        scgx.pp.reactome(
            samples, drug_key="drug", organ_key="organ", control="control", design_keys=(), input_scale="log2"
        )
        obs = pd.DataFrame({name: samples.uns["reactome"]["conditions"][name] for name in ("drug", "organ")})
        sides[side] = AnnData(samples.varm["reactome"].T.copy(), obs=obs.set_index(obs["drug"] + obs["organ"]))
        sides[side].var_names = samples.var_names
    query, samples = sides["query"], simulated.query
    truth = query.X.copy()
    new = query.obs["drug"].isin(np.unique(query.obs["drug"])[::5]).to_numpy()
    query.X[new] = np.nan
    rows = []
    for method in ("no_change", "copy", "affine", "latent_arithmetic", "ridge", "auto"):
        arguments = {"method": method, "orthologs": simulated.orthologs[["query", "reference"]], "seed": seed}
        predicted = scgx.tl.transfer_response(query, sides["reference"], copy=True, **arguments)
        for organ in np.unique(query.obs["organ"]):
            control = np.asarray(samples[(samples.obs["organ"] == organ) & samples.obs["is_control"]].X).mean(axis=0)
            here = new & (query.obs["organ"] == organ).to_numpy()
            y, guess = truth[here], predicted.layers["response_transferred"][here]
            used = np.isfinite(guess).all(axis=0)
            y, guess, base = y[:, used], guess[:, used], control[used]
            error = ((y - guess) ** 2).sum(axis=1)
            for metric, measured in (("r2_raw", base + y), ("r2_delta", y)):
                spread = ((measured - measured.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
                value = float(np.mean(1 - error / spread))
                rows.append({"dataset": f"simulated, {organ}", "method": method, "metric": metric, "value": value})
    return rows


def run(*, quick: bool, seed: int) -> pd.DataFrame:
    """Tidy scores of every method and baseline."""
    query, reference = read(quick=quick)
    rows = []
    for split, features in SETTINGS:
        if quick and (split, features) != ("gene", True):
            continue
        predicted = predictions(query, reference, split, features=features, seed=seed)
        scored = score(predicted, query, reference, n_resamples=100 if quick else 300, seed=seed)
        title = f"{split}s held out" + ("" if features else ", no features")
        rows += [{"job": "response", "split": title, **row} for row in scored]
    simulated = raw_beside_delta(quick=quick, seed=seed)
    rows += [{"job": "response", "split": "drugs held out", **row} for row in simulated]
    columns = ["job", "dataset", "split", "method", "metric", "value", "low", "high"]
    return pd.DataFrame(rows).reindex(columns=columns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = run(quick=options.quick, seed=options.seed)
    with pd.option_context("display.width", 160, "display.max_rows", None):
        plain = table[~table["metric"].str.contains("copy")]
        print(plain.pivot_table(index=["dataset", "split", "method"], columns="metric", values="value").round(3))
        gain = table[(table["method"] == "auto") & table["metric"].str.contains("copy")]
        print(gain.drop(columns=["job", "method"]).round(3).to_string(index=False))
