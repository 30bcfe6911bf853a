"""Later parts of ``transplatformer_paper.py``: attention, MLP and Seq2Seq (Figs. 8 to 11), ablation, biomarkers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from transplatformer_study import Direction, Network, Size, candidates, trained

import scgx
from scgx.estimators import GeneScaler, Seq2Seq, column_mean

EPOCHS_SHOWN = (1, 2, 4, 8, 16)


def attention(way: Direction, target: ad.AnnData, size: Size, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fig. 8, Table 11: genes by attention relative to the mean, overall and by tissue, beside ridge coefficients."""
    network = Network(size.network | {"bottleneck": size.attention_bottleneck}, size.training, seed=seed)
    mdata = scgx.pp.pair(way.adata, target)
    model = trained(mdata, network, group_key="compound", tissue_key="tissue")
    adata = way.adata.copy()
    scgx.tl.gene_importance(adata, model=model, groupby="tissue")
    scgx.tl.gene_importance(
        adata, model=scgx.tl.Translator("ridge", group_key="compound").fit(adata), key_added="ridge"
    )
    columns = {"all": adata.var["importance"], "ridge": adata.var["ridge"]}
    for name, values in zip(adata.uns["importance"]["groups"], adata.varm["importance"].T, strict=True):
        columns[name] = pd.Series(values, index=adata.var_names)
    ridge = columns["ridge"].nlargest(10).index
    rows = [
        {
            "rows": name,
            "highest": values.max(),
            "genes over 10 × mean": int((values > 10).sum()),
            "of ridge's top 10": int(values.nlargest(10).index.isin(ridge).sum()),
            "spearman with ridge": values.corr(columns["ridge"], method="spearman"),
            "top 10": " ".join(adata.var.loc[values.nlargest(10).index, "gene_symbol"]),
        }
        for name, values in columns.items()
    ]
    return pd.DataFrame(rows).set_index("rows"), pd.DataFrame(
        {"gene": adata.var["gene_symbol"], "importance": columns["all"]}
    )


def cut(way: Direction, n_genes: int) -> Direction:
    """The same rows on the genes that vary most: panels that an autoregressive transformer can be run on."""
    X, Y = (
        values[:, np.sort(np.argsort(-np.nanvar(values[way.train], axis=0))[:n_genes])]
        for values in (way.arrays.X, way.arrays.Y)
    )
    arrays = replace(way.arrays, X=X, Y=Y, pairs=np.empty((0, 2), dtype=int))
    return replace(way, name=f"{way.name}, {n_genes} genes each", arrays=arrays, truth=None)


def against_seq2seq(way: Direction, size: Size, seed: int) -> pd.DataFrame:
    """Figs. 10 and 11: TransPlatformer, MLP and Seq2Seq on small panels, with the time of prediction."""
    small = cut(way, size.cut_panel)
    methods = candidates(("mean", "kernel_ridge", "mlp", "transplatformer"), small.arrays.pairs, size, seed)
    methods["seq2seq"] = Seq2Seq(max_epochs=min(10, size.training["max_epochs"]), patience=3, seed=seed)
    rows = []
    for name, method in methods.items():
        predicted, seconds = small.run(method)
        rows.append({"method": name, **small.scores(predicted), **seconds})
    return pd.DataFrame(rows).set_index("method")


def losses(way: Direction, size: Size, seed: int) -> pd.DataFrame:
    """Fig. 9: squared error after some epochs, relative to that of the gene means; Seq2Seq reads the genes before."""
    import torch

    from scgx import nn

    small = cut(way, size.cut_panel).arrays
    scaler, center = GeneScaler("standard").fit(small.X[way.train]), column_mean(small.Y[way.train])
    scale = np.sqrt(np.nanmean((small.Y[way.train] - center) ** 2))
    x, y = scaler.transform(small.X), ((small.Y - center) / scale).astype(np.float32)
    shape = {"n_source": x.shape[1], "n_target": y.shape[1]}
    makers = {
        "transplatformer": lambda: nn.TransPlatformer(nn.TransPlatformerConfig(**shape, **size.network)),
        "mlp": lambda: nn.perceptron(*shape.values(), hidden=(512, 512), dropout=0.1),
        "seq2seq": lambda: nn.Seq2Seq(**shape, width=32, n_heads=4, n_layers=2, dropout=0.1),
    }
    rates = {"transplatformer": size.training.get("lr", 1e-3), "mlp": 5e-4, "seq2seq": 1e-3}
    rows = []
    for name, make in makers.items():
        training = nn.Training(make, learning_rate=rates[name], weight_decay=0.0, batch_size=16, seed=seed)
        for n_epochs in (n for n in EPOCHS_SHOWN if n <= size.training["max_epochs"]):
            network = training.train(x[way.train], y[way.train], n_epochs=n_epochs)
            for part, used in (("training", way.train), ("test", way.test)):
                given, true = torch.from_numpy(x[used]), torch.from_numpy(y[used])
                with torch.no_grad():
                    output = network(given, true) if name == "seq2seq" else network(given)
                loss = float(nn.masked_error(output, true))
                rows.append({"epoch": n_epochs, "curve": f"{name}, {part}", "loss": loss})
    return pd.DataFrame(rows).pivot(index="epoch", columns="curve", values="loss")


def ablation(way: Direction, size: Size, seed: int) -> pd.DataFrame:
    """Depth, heads and the direction of the softmax of TransPlatformer, each changed alone."""
    width, depth = size.network["width"], size.network["n_encoder_layers"]
    variants: dict[str, dict[str, Any]] = {
        "no encoder layer": {"n_encoder_layers": 0},
        f"{depth + 1} encoder layers": {"n_encoder_layers": depth + 1},
        "2 decoder layers": {"n_decoder_layers": 2},
        "4 heads": {"n_heads": 4},
        f"{width} heads, one a channel": {"n_heads": width},
        "softmax over tokens": {"softmax": "tokens"},
    }
    rows = []
    for name, change in variants.items():
        predicted, seconds = way.run(Network(size.network | change, size.training, seed=seed))
        rows.append({"variant": name, **way.scores(predicted), **seconds})
    return pd.DataFrame(rows).set_index("variant")


def biomarkers(way: Direction, target: ad.AnnData, seed: int) -> pd.DataFrame:
    """Tables 9 and 10: a label that the noiseless response decides, learned from measured and from translated rows.

    Positive are the 15 % of the rows that move furthest along the first principal axis. Rows are translated by ridge.
    """
    truth = np.asarray(target[way.adata.obs_names].layers["truth"])
    centred = truth - truth.mean(axis=0)
    score = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    adata = way.adata.copy()
    adata.obs["label"] = np.where(score > np.quantile(score, 0.85), "positive", "negative")
    classifiers = {"random forest": RandomForestClassifier(200, max_depth=10, random_state=seed), "logistic": None}
    frames = [
        scgx.bm.biomarker(
            adata, label_key="label", group_key="compound", method="ridge", classifier=classifier, measured=0.4,
            n_folds=3, dataset=way.name, seed=seed,
        ).assign(classifier=name)
        for name, classifier in classifiers.items()
    ]  # fmt: skip
    return pd.concat(frames).pivot_table(index=["classifier", "method"], columns="metric", values="value", sort=False)
