"""Does ``Translator.calibrate`` help on a new study, and does it harm one that needs none? Table and JSON.

    python benchmarks/calibration.py [--seeds 8]

Simulated (``scgx.datasets.simulate_platforms``, microarray → sequencing): ridge learns on 60 % of the compounds, the
others are a new study. Its source is left as it is (``same``, or only its ``high dose``, ``low dose`` or ``liver`` rows:
real differences that calibration must not take out), or each gene is shifted by half a standard deviation, rescaled by
exp(N(0, 0.4)), all genes are compressed to a half, or the target is shifted. Calibrated on the source alone (0 pairs;
``shift only``: without the scales), or with one row of 5, 10 or 20 compounds measured on both; scored on rows of the
other compounds.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import scgx

PAIRS = (0, 5, 10, 20)
SITUATIONS = (
    "same", "high dose", "low dose", "liver", "shift", "scale", "shift + scale", "compressed",
    "compressed + shift + scale", "target shift",
)  # fmt: skip


def studies(seed: int) -> tuple[ad.AnnData, ad.AnnData]:
    """Training study and new study, which share no compound."""
    mdata = scgx.datasets.simulate_platforms(n_obs=520, n_source=300, n_target=200, response="nonlinear", seed=seed)
    adata = mdata["source"].copy()
    scgx.pp.add_target(adata, mdata["target"])
    compounds = np.random.default_rng(seed).permutation(adata.obs["compound"].unique())
    train = adata.obs["compound"].isin(compounds[: int(0.6 * len(compounds))]).to_numpy()
    return adata[train].copy(), adata[~train].copy()


def in_situation(new: ad.AnnData, name: str, rng: np.random.Generator) -> ad.AnnData:
    """The new study as another laboratory would have measured it, or a part of it."""
    highest = new.obs.groupby("compound", observed=True)["dose"].transform("max")
    if name == "liver":
        return new[new.obs["tissue"] == "LI"].copy()
    if name.endswith("dose"):
        return new[(new.obs["dose"] > 0.5 * highest) == (name == "high dose")].copy()
    out = new.copy()
    shift, scale = 0.5 * rng.normal(size=new.n_vars), np.exp(0.4 * rng.normal(size=new.n_vars))
    if "scale" in name:
        out.X *= scale
    if "compressed" in name:
        out.X *= 0.5
    if name == "target shift":
        Y = out.obsm["target"]
        out.obsm["target"] = Y + (0.5 * Y.std(axis=0) * rng.normal(size=Y.shape[1])).astype(np.float32)
    elif "shift" in name:
        out.X += shift * new.X.std(axis=0)
    return out


def skill(translator: scgx.tl.Translator, adata: ad.AnnData) -> float:
    """Over the gene means of the training study."""
    Y, mean = adata.obsm["target"], translator.fitted.estimator.mean_
    return scgx.metrics.r2_skill(Y, translator.predict(adata)[0], mean)


def without_scale(translator: scgx.tl.Translator) -> scgx.tl.Translator:
    out = copy.copy(translator)
    out._fitted = replace(translator.fitted, source_scale=None)
    return out


def measure(translator: scgx.tl.Translator, new: ad.AnnData, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Skill before and after, for each number of pairs."""
    compound = new.obs["compound"].astype(str).to_numpy()
    order = rng.permutation(np.unique(compound))
    for n_pairs in PAIRS:
        known = new.copy()
        rows = [rng.choice(np.flatnonzero(compound == name)) for name in order[:n_pairs]]
        test = new[~np.isin(compound, order[:n_pairs])].copy()
        known.obsm["target"] = np.full_like(new.obsm["target"], np.nan)
        known.obsm["target"][rows] = new.obsm["target"][rows]
        if not n_pairs:
            del known.obsm["target"], known.uns["target"]
        calibrated = translator.calibrate(known)
        yield {
            "pairs": n_pairs,
            "before": skill(translator, test),
            "after": skill(calibrated, test),
            "shift only": np.nan if n_pairs else skill(without_scale(calibrated), test),
            "chosen": calibrated.report()["calibration"].split(",")[0],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("calibration.json"))
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        training, new = studies(seed)
        translator = scgx.tl.Translator("ridge", group_key="compound", seed=seed).fit(training)
        for situation in SITUATIONS:
            rng = np.random.default_rng(seed)
            for row in measure(translator, in_situation(new, situation, rng), rng):
                rows.append({"situation": situation, "seed": seed, **row})
    frame = pd.DataFrame(rows).assign(gain=lambda f: f["after"] - f["before"])
    groups = frame.groupby(["situation", "pairs"], sort=False)
    table = groups[["before", "shift only", "after", "gain"]].mean()
    table["gain_se"] = groups["gain"].sem()
    table["worst_gain"] = groups["gain"].min()
    table["mostly_chosen"] = groups["chosen"].agg(lambda chosen: chosen.mode().iloc[0])
    print(table.round(3).to_string())
    result = {
        "scgx": scgx.__version__,
        "python": platform.python_version(),
        "seeds": arguments.seeds,
        "table": json.loads(table.reset_index().to_json(orient="records", double_precision=4)),
    }
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {arguments.output}")


if __name__ == "__main__":
    main()
