"""From a small gene panel to the genes it lacks, on real blood cells, with the baseline beside it.

Run it with ``make quickstart``; figures go to ``figures/``.
"""

from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc

import scgx

FIGURES = Path("figures")
MARKERS = ["CD3D", "CD8B", "CD79A", "MS4A1", "NKG7", "GNLY", "LYZ", "S100A8", "LST1", "FCER1A"]


def load() -> tuple[ad.AnnData, ad.AnnData]:
    """A source panel of all cells; the target panel of the cells that lack it in ``source`` is the exam."""
    source, target, held_out = scgx.datasets.pbmc_panels()
    scgx.pp.add_target(source, target)
    print(f"{source.n_obs} cells, {source.n_vars} source genes → {target.n_vars} target genes")
    print(f"{target.n_obs} cells have the target measured; {held_out.n_obs} cells are the exam\n")
    return source, held_out


def print_scores(source: ad.AnnData, held_out: ad.AnnData) -> None:
    """Cross-validated scores of all candidates, then the exam on cells whose target was never seen."""
    report = source.uns["translate"]
    scores = pd.DataFrame(report["scores"]).set_index("method")
    columns = ["role", "skill", "mae", "pearson", "pearson_delta", "pearson_within_gene", "seconds"]
    print(f"cross-validation, split {report['split']}; chosen: {report['method']}")
    print(scores[columns].sort_values("skill", ascending=False).round(3).to_string(), "\n")

    translated = scgx.get.translated(source)[held_out.obs_names]
    truth, center = held_out.X.toarray(), np.nanmean(source.obsm["target"], axis=0)
    coverage = scgx.metrics.interval_coverage(truth, translated.X, report["half_width"])
    rows = {report["method"]: translated.X, "baseline: mean": np.broadcast_to(center, truth.shape)}
    exam = {
        name: {
            "skill": scgx.metrics.r2_skill(truth, values, center),
            "delta Pearson": np.nanmean(scgx.metrics.pearson_delta(truth, values, center)),
            "raw Pearson": np.nanmean(scgx.metrics.pearson(truth, values)),
            "MAE": scgx.metrics.mae(truth, values),
        }
        for name, values in rows.items()
    }
    print("exam: cells whose target was never seen")
    print(pd.DataFrame(exam).T.round(3).to_string())
    print(f"the {report['interval']:.0%} interval holds {coverage:.1%} of the measured values\n")


def plot(source: ad.AnnData, held_out: ad.AnnData) -> None:
    """Scanpy's own figures: translated beside measured markers of the exam cells, and all cells on one panel."""
    translated = scgx.get.translated(source)[held_out.obs_names].copy()
    both = ad.concat({"measured": held_out, "translated": translated}, label="origin", index_unique="-")
    both.obs["cells"] = both.obs["bulk_labels"].astype(str) + " · " + both.obs["origin"].astype(str)
    markers = [gene for gene in MARKERS if gene in both.var_names]
    sc.pl.dotplot(both, markers, groupby="cells", expression_cutoff=0.5, show=False)
    plt.savefig(FIGURES / "dotplot.png", dpi=150, bbox_inches="tight")

    whole = scgx.get.harmonized(source)
    sc.pp.pca(whole, n_comps=20)
    sc.pp.neighbors(whole)
    sc.tl.umap(whole)
    sc.pl.umap(whole, color=["bulk_labels", "origin", *markers[:4]], ncols=3, wspace=0.6, show=False)
    plt.savefig(FIGURES / "umap.png", dpi=150, bbox_inches="tight")
    print(f"figures: {FIGURES / 'dotplot.png'}, {FIGURES / 'umap.png'}")


def main() -> None:
    FIGURES.mkdir(exist_ok=True)
    source, held_out = load()
    scgx.tl.translate(source)
    print_scores(source, held_out)
    plot(source, held_out)


if __name__ == "__main__":
    main()
