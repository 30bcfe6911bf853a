"""UGE between mouse and rat: organ labels, gene map and response, beside what needs no network.

SCGX_DATA_DIR=… python benchmarks/species_uge.py [--quick]
"""

from __future__ import annotations

import argparse
import logging
import warnings

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData
from scipy.stats import binomtest

import scgx
from scgx._core.orthologs import ortholog_pairs
from scgx.model import UGE

FIT = {"accelerator": "cpu", "progress": False}


def organs() -> tuple[ad.AnnData, ad.AnnData, pd.DataFrame]:
    """Mouse ENCODE and rat BodyMap on log scale, over one-to-one orthologues in equal order, and their table."""
    data, table = scgx.datasets.load("organs"), scgx.datasets.load("orthologs")["one2one_human_mouse_rat"]
    mouse, rat = data["mouse_ENCODE_TissueEnrich"], data["rat_bodymap_yu2014"]
    pairs = ortholog_pairs(rat.var_names, mouse.var_names, table)
    rat, mouse = rat[:, pairs.query].copy(), mouse[:, pairs.reference].copy()
    for adata in (mouse, rat):
        X = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
        adata.X = np.log2(1e6 * X / X.sum(1, keepdims=True) + 1).astype(np.float32)
        adata.obs["organ"] = adata.obs["organ"].astype(str)
    return mouse, rat, pd.DataFrame({"mouse": mouse.var_names, "rat": rat.var_names})


def row(job: str, dataset: str, split: str, method: str, metric: str, value: float, hits: tuple | None = None) -> dict:
    low, high = (np.nan, np.nan) if hits is None else binomtest(*hits).proportion_ci(method="wilson")
    return {"job": job, "dataset": dataset, "split": split, "method": method, "metric": metric} | {
        "value": value,
        "low": low,
        "high": high,
    }


def model_of(
    parts: dict[str, ad.AnnData], orthologs: pd.DataFrame | None, seed: int, epochs: int, **options: object
) -> UGE:
    mdata = MuData(parts)
    UGE.setup_mudata(mdata, orthologs=orthologs)
    model = UGE(mdata, seed=seed, **UGE.small_config() | options)
    model.train(epochs, seed=seed, batch_size=8, patience=20, **FIT)
    return model


def nearest(query: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Label of the reference row with the greatest cosine."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-9) for x in (query, reference)]
    return labels[(unit[0] @ unit[1].T).argmax(1)]


def relative(adata: ad.AnnData) -> np.ndarray:
    """Values as UGE takes them: each gene centred and scaled over all rows of the species."""
    X = np.asarray(adata.X)
    deviation = X.std(0)
    return (X - X.mean(0)) / (deviation + np.median(deviation)).clip(1e-6)


def label_predictions(
    mouse: ad.AnnData, rat: ad.AnnData, orthologs: pd.DataFrame | None, seed: int, epochs: int
) -> dict[str, np.ndarray]:
    """Predicted organ of each rat row that mouse has too, a method each."""
    shared = sorted(set(mouse.obs["organ"]) & set(rat.obs["organ"]))
    reference, query = mouse[mouse.obs["organ"].isin(shared)], rat[rat.obs["organ"].isin(shared)]
    labels = reference.obs["organ"].to_numpy()
    model = model_of({"mouse": mouse, "rat": rat}, orthologs, seed, epochs)
    z = {name: model.get_latent_representation(x, species=name) for name, x in (("mouse", reference), ("rat", query))}
    found = {"UGE, nearest in latent space": nearest(z["rat"], z["mouse"], labels)}
    model.fine_tune({"mouse": reference.copy()}, label_key="organ", max_epochs=40, seed=seed, **FIT)
    found["UGE, fine-tuned on mouse"] = model.predict_labels(query, species="rat").to_numpy()
    if orthologs is not None:
        raw = [x - x.mean(1, keepdims=True) for x in (np.asarray(query.X), np.asarray(reference.X))]
        found["nearest on orthologues"] = nearest(*raw, labels)
        of = [relative(x)[x.obs["organ"].isin(shared).to_numpy()] for x in (rat, mouse)]
        found["nearest on orthologues, relative values"] = nearest(*of, labels)
    return {name: labels_found == query.obs["organ"].to_numpy() for name, labels_found in found.items()}


def labels_job(*, quick: bool, seed: int) -> list[dict]:
    mouse, rat, table = organs()
    rng = np.random.default_rng(seed)
    sizes = {10: 1, 100: 1} if quick else {10: 4, 30: 4, 100: 4}
    epochs = 20
    rows = []
    for n_genes, n_draws in (*sizes.items(), (1000, 1)):
        hits: dict[str, list[bool]] = {}
        for draw in range(n_draws):
            genes = rng.choice(len(table), n_genes, replace=False)
            parts = mouse[:, genes].copy(), rat[:, genes].copy()
            for name, right in label_predictions(*parts, table.iloc[genes], seed + draw, epochs).items():
                hits.setdefault(name, []).extend(right)
        split = f"{n_genes} genes × {n_draws}, tied"
        rows += [row("labels", "organs", split, m, "accuracy", np.mean(h), (sum(h), len(h))) for m, h in hits.items()]
    genes = rng.choice(len(table), 1000, replace=False)
    parts = mouse[:, genes].copy(), rat[:, rng.permutation(genes)].copy()
    for name, h in label_predictions(*parts, None, seed, epochs).items():
        hit = (int(h.sum()), len(h))
        rows.append(row("labels", "organs", "1000 genes, no orthologues", name, "accuracy", h.mean(), hit))
    return rows


def recall(similarity: np.ndarray) -> dict[str, float]:
    """Recall of the true partner, which stands on the diagonal, among the k best."""
    rank = (similarity > np.diag(similarity)[:, None]).sum(1)
    return {f"R@{k}": float((rank < k).mean()) for k in (1, 10, 100)} | {"MRR": float((1 / (1 + rank)).mean())}


def standard(x: np.ndarray) -> np.ndarray:
    """Each row with mean 0 and length 1."""
    x = x - x.mean(1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-9)


def genes_job(*, quick: bool, seed: int) -> list[dict]:
    mouse, rat, table = organs()
    rng = np.random.default_rng(seed)
    genes = rng.choice(len(table), 1000 if quick else 2000, replace=False)
    mouse, rat, table = mouse[:, genes].copy(), rat[:, genes].copy(), table.iloc[genes]
    half = len(genes) // 2
    shared = sorted(set(mouse.obs["organ"]) & set(rat.obs["organ"]))
    profiles = []
    for adata in (rat, mouse):
        frame = pd.DataFrame(np.asarray(adata.X), index=adata.obs["organ"].to_numpy()).groupby(level=0).mean()
        profiles.append(frame.loc[shared].to_numpy().T)
    level = [profile.mean(1, keepdims=True) for profile in profiles]
    shape = standard(profiles[0])[half:] @ standard(profiles[1])[half:].T
    gap = np.abs(level[0][half:] - level[1][half:].T)
    found = {"organ profile, shape": shape, "organ profile, shape + level": shape - 0.15 * gap}
    epochs = 10 if quick else 30
    for name, anchors in (("half of the orthologues tied", table.iloc[:half]), ("no orthologue tied", None)):
        renamed = rat.copy()
        model = model_of({"mouse": mouse, "rat": renamed}, anchors, seed, epochs)
        embedded = [
            model.get_gene_embeddings(part, species=species)
            for species, part in (("rat", table["rat"].iloc[half:]), ("mouse", table["mouse"].iloc[half:]))
        ]
        found[f"UGE embedding, {name}"] = (
            standard(embedded[0] - embedded[0].mean(0)) @ standard(embedded[1] - embedded[1].mean(0)).T
        )
    split = f"{half} tied, {len(genes) - half} candidates"
    return [
        row("gene_map", "organs", split, method, metric, value)
        for method, similarity in found.items()
        for metric, value in recall(similarity).items()
    ]


def simulate(seed: int, n_genes: int = 300) -> tuple[dict[str, ad.AnnData], pd.DataFrame]:
    """Two species, 6 organs, 4 drugs and control, 3 samples each; a fifth of the responses is the species' own.

    A drug acts on programmes of genes; how strongly depends on the programme's activity in the organ.
    """
    rng = np.random.default_rng(seed)
    n_organs, n_drugs, n_programs = 6, 4, 10
    loading = rng.normal(size=(n_programs, n_genes)) * (rng.random((n_programs, n_genes)) < 0.2)
    activity, effect = rng.gamma(2, 0.5, size=(n_organs, n_programs)), rng.normal(size=(n_drugs, n_programs))
    level = rng.normal(5, 2, size=n_genes)
    parts = {}
    for species in ("mouse", "rat"):
        gain = rng.lognormal(0, 0.3, size=n_genes)
        own = rng.random(n_genes) < 0.2
        mine = np.where(own, rng.permutation(loading.T).T, loading) * gain
        blocks, obs = [], []
        base = level + rng.normal(size=n_genes) + rng.normal(0, 0.5, size=(n_organs, n_genes))
        for organ in range(n_organs):
            for drug in range(-1, n_drugs):
                change = 0 if drug < 0 else 0.6 * (activity[organ] * effect[drug]) @ mine
                profile = base[organ] + activity[organ] @ loading + change
                blocks.append(profile + rng.normal(0, 0.3, size=(3, n_genes)))
                obs += [{"organ": f"organ{organ}", "drug": "control" if drug < 0 else f"drug{drug}"}] * 3
        names = [f"{species}{i}" for i in range(n_genes)]
        frame = pd.DataFrame(obs, index=[f"{species}{i}" for i in range(len(obs))])
        X = np.concatenate(blocks).astype(np.float32)
        parts[species] = ad.AnnData(X, obs=frame, var=pd.DataFrame(index=names))
    return parts, pd.DataFrame({species: part.var_names for species, part in parts.items()})


def principal_copy(mouse: ad.AnnData, known: ad.AnnData, change: np.ndarray, n_components: int = 10) -> np.ndarray:
    """The mouse change in the space of both species' first components: latent arithmetic without a network.

    Genes stand in equal order; they are centred and scaled a species as UGE does it.
    """
    components = np.linalg.svd(np.concatenate([relative(mouse), relative(known)]), full_matrices=False)[2]
    scale = {}
    for name, adata in (("mouse", mouse), ("rat", known)):
        deviation = np.asarray(adata.X).std(0)
        scale[name] = deviation + np.median(deviation)
    kept = components[:n_components]
    return (change / scale["mouse"]) @ kept.T @ kept * scale["rat"]


def response_job(*, quick: bool, seed: int) -> list[dict]:
    """Rat response to a drug that rat never saw; all else of both species is known."""
    scores: dict[tuple[str, str], list[float]] = {}
    for draw in range(1 if quick else 3):
        parts, table = simulate(seed + draw)
        mouse, rat = parts["mouse"], parts["rat"]
        known = rat[rat.obs["drug"] != "drug0"].copy()
        model = model_of({"mouse": mouse, "rat": known}, table, seed, 10 if quick else 40)
        for organ in mouse.obs["organ"].unique():
            of = {name: x[x.obs["organ"] == organ] for name, x in (("mouse", mouse), ("rat", rat))}
            treated, control = (of["mouse"][of["mouse"].obs["drug"] == drug].copy() for drug in ("drug0", "control"))
            query = of["rat"][of["rat"].obs["drug"] == "control"].copy()
            truth_rows = of["rat"][of["rat"].obs["drug"] == "drug0"]
            truth = np.asarray(truth_rows.X).mean(0) - np.asarray(query.X).mean(0)
            latent = model.transfer_response(treated, control, query, source="mouse", species="rat").mean().to_numpy()
            copy = np.asarray(treated.X).mean(0) - np.asarray(control.X).mean(0)
            before = np.asarray(query.X).mean(0)
            for method, change in (
                ("no change", np.zeros_like(truth)),
                ("orthologue copy", copy),
                ("half of the copy", copy / 2),
                ("copy through 10 principal components", principal_copy(mouse, known, copy)),
                ("UGE, z + δ_drug + δ_species", latent),
            ):
                delta = np.corrcoef(change, truth)[0, 1] if change.any() else 0.0
                values = {
                    "r of raw values": np.corrcoef(before + change, before + truth)[0, 1],
                    "r of the change": delta,
                    "MAE": np.abs(change - truth).mean(),
                }
                for metric, value in values.items():
                    scores.setdefault((method, metric), []).append(float(value))
    return [
        row("response", "simulated", "drug new to rat", method, metric, np.mean(values))
        | {
            end: np.mean(values) + sign * 1.96 * np.std(values) / len(values) ** 0.5
            for end, sign in (("low", -1), ("high", 1))
        }
        for (method, metric), values in scores.items()
    ]


def run(*, quick: bool, seed: int) -> pd.DataFrame:
    """One row a job, split, method and metric."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for job in (labels_job, genes_job, response_job):
            rows += job(quick=quick, seed=seed)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(run(quick=arguments.quick, seed=arguments.seed).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
