"""Data and methods of ``transplatformer_paper.py``: sizes, three simulated platforms, directions between them."""

from __future__ import annotations

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Any, Self

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

import scgx
from scgx._core import TrainingData, training_data
from scgx.estimators import BaseTranslator, column_mean
from scgx.metrics import mae_strong
from scgx.model import TransPlatformer
from scgx.selection import NEEDS_SHARED_GENES, make_candidates, prediction_scores

if TYPE_CHECKING:
    from mudata import MuData

NAMES = {"RU1": "CodeLink", "RG230": "Affymetrix", "BioSpyder": "BioSpyder"}
AFFYMETRIX_TISSUES = ("LI", "KI", "HE", "SM")
CATEGORIES = {"extremely under": -1, "under": -0.3, "normal": 0.3, "over": 1, "extremely over": np.inf}  # upper bounds
LEAST_ROWS = 24  # of a tissue: DrugMatrix's shares leave three tissues with a handful, which tests nothing
SIMULATED_ROWS = 4600  # as many as give the smallest tissue that
N_FOLDS = 5  # of which one is tested
FEWEST_GENES_FOR_THREADS = 1000
NOISE = 0.08  # log10 units, of each measurement


@dataclass(frozen=True)
class Size:
    """How large panels, networks and rivals are."""

    rows: int
    panels: tuple[int, int, int]  # CodeLink, Affymetrix, BioSpyder
    network: dict[str, Any]
    training: dict[str, Any]
    attention_bottleneck: int | None  # of the network whose attention is shown; None, as in the paper, is costly
    cut_panel: int  # genes of the panels that Seq2Seq can be run on
    rivals: dict[str, dict[str, Any]] = field(default_factory=dict)


SMALL = Size(
    rows=280,
    panels=(200, 250, 300),
    network={"bottleneck": 64, "width": 32, "n_encoder_layers": 1},
    training={"max_epochs": 20, "lr": 3e-3, "patience": 8},
    attention_bottleneck=None,
    cut_panel=40,
    rivals={
        "sample_attention": {"n_members": 1, "second__n_members": 1},
        "mlp": {"max_epochs": 40, "patience": 5},
        "random_forest": {"n_trees": 100, "max_features": (30,)},
    },
)
TINY = Size(
    rows=60,
    panels=(40, 50, 60),
    network={"bottleneck": 16, "width": 8, "n_encoder_layers": 1},
    training={"max_epochs": 2},
    attention_bottleneck=None,
    cut_panel=12,
    rivals=SMALL.rivals | {"mlp": {"max_epochs": 2}, "random_forest": {"n_trees": 5, "max_features": (5,)}},
)
PAPER = Size(
    rows=2225,
    panels=(8565, 31042, 22794),
    network=TransPlatformer.paper_config(),
    training={"max_epochs": 40, "weight_decay": 0.0},
    attention_bottleneck=512,
    cut_panel=200,
)
SIZES = {"small": SMALL, "paper": PAPER, "tiny": TINY}


def simulated(size: Size, seed: int) -> dict[str, ad.AnnData]:
    """Three platforms in the form of ``read_drugmatrix``, with the noiseless values as layer ``"truth"``.

    The arrays are two panels of the simulator's array that share half of the smaller one; half of the sequenced genes
    are on them. Every platform has noise of its own. Affymetrix has four tissues and three fifths of the compounds.
    """
    codelink, affymetrix, spyder = size.panels
    on_arrays = codelink + affymetrix - codelink // 2
    mdata = scgx.datasets.simulate_platforms(
        max(size.rows, SIMULATED_ROWS),
        on_arrays,
        spyder,
        n_shared=min(spyder // 2, on_arrays),
        response="nonlinear",
        noise=0.0,
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    mdata = mdata[archive(mdata.obs, size.rows)]
    obs, order = mdata["source"].obs, rng.permutation(on_arrays)
    rare = ~obs["tissue"].isin(AFFYMETRIX_TISSUES) | (obs["compound"].cat.codes % 5 > 2)
    return {
        "RU1": platform(mdata["source"][:, order[:codelink]], "RU1", rng),
        "RG230": platform(mdata["source"][~rare.to_numpy(), order[-affymetrix:]], "RG230", rng),
        "BioSpyder": platform(mdata["target"], "BioSpyder", rng),
    }


def archive(obs: pd.DataFrame, rows: int) -> np.ndarray:
    """Rows with the simulator's shares of tissues, but at least some of each; first the compounds of many tissues."""
    breadth = obs.groupby("compound", observed=True)["tissue"].transform("nunique").astype(int)
    order = np.lexsort([obs["compound"].cat.codes, -breadth])
    by_tissue = pd.Series(order).groupby(obs["tissue"].to_numpy(dtype=str)[order])
    return np.sort(np.concatenate([part.head(max(LEAST_ROWS, rows * len(part) // len(obs))) for _, part in by_tissue]))


def platform(panel: ad.AnnData, name: str, rng: np.random.Generator) -> ad.AnnData:
    """A panel of the simulator, which left out all noise but that of counting, as ``read_drugmatrix`` gives it."""
    truth = np.asarray(panel.layers["truth"] if "truth" in panel.layers else panel.X)
    obs = panel.obs.assign(dose_unit="mg/kg", treatment=[label.rpartition("-")[0] for label in panel.obs_names])
    obs = obs.astype({"tissue": str, "compound": str})
    var = pd.DataFrame({"gene_symbol": panel.var_names, "probe_id": [f"{name}{i}" for i in range(panel.n_vars)]})
    measured = np.asarray(panel.X) + NOISE * rng.standard_normal(truth.shape, dtype=np.float32)
    return ad.AnnData(measured, obs=obs, var=var.set_index(var["gene_symbol"] + "_" + var["probe_id"]),
                      layers={"truth": truth})  # fmt: skip


def describe(platforms: dict[str, ad.AnnData]) -> pd.DataFrame:
    """Rows by tissue, genes and share of each category of values: Tables 1 to 3."""
    table = {}
    for name, data in platforms.items():
        values = np.asarray(data.X)[np.isfinite(data.X)]
        shares = np.histogram(values, [-np.inf, *CATEGORIES.values()])[0] / len(values)
        table[NAMES[name]] = {**data.obs["tissue"].value_counts(), "rows": data.n_obs, "genes": data.n_vars} | {
            f"% {category}": round(100 * share, 2) for category, share in zip(CATEGORIES, shares, strict=True)
        }
    return pd.DataFrame(table).T.fillna(0).rename_axis("platform")


class Network(BaseTranslator):
    """:class:`scgx.model.TransPlatformer` on arrays, to stand in a row with the other methods."""

    def __init__(self, sizes: dict[str, Any], training: dict[str, Any], *, seed: int = 0) -> None:
        self.sizes, self.training, self.seed = sizes, training, seed

    def fit(
        self, X: np.ndarray, Y: np.ndarray, *, groups: np.ndarray | None = None, tissue: np.ndarray | None = None
    ) -> Self:
        obs = pd.DataFrame({"group": np.arange(len(X)) if groups is None else groups}).set_index(
            pd.Index([f"row {i}" for i in range(len(X))])
        )
        target = ad.AnnData(Y, obs=obs, var=pd.DataFrame(index=[f"target {i}" for i in range(Y.shape[1])]))
        self.model_ = trained(scgx.pp.pair(ad.AnnData(X, obs=obs), target), self, group_key="group")
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        return self.model_.translate(ad.AnnData(X))


def trained(mdata: MuData, network: Network, **keys: str) -> TransPlatformer:
    TransPlatformer.setup_mudata(mdata, **keys)
    model = TransPlatformer(mdata, **network.sizes, seed=network.seed)
    with contextlib.redirect_stdout(io.StringIO()):  # early stopping prints
        model.train(**network.training, seed=network.seed, progress=False)
    return model


def candidates(names: Sequence[str], pairs: np.ndarray, size: Size, seed: int) -> dict[str, BaseTranslator]:
    """Methods at this size; the package's own, with scgx.model.TransPlatformer as the network."""
    names = [name for name in names if len(pairs) or name not in NEEDS_SHARED_GENES]
    methods = make_candidates(names, pairs=pairs, seed=seed)
    network = Network(size.network, size.training, seed=seed)
    for name, method in methods.items():
        known = method.get_params()
        method.set_params(**{key: value for key, value in size.rivals.get(name, {}).items() if key in known})
    if "anchored_transplatformer" in methods:
        methods["anchored_transplatformer"].set_params(learner=network)
    return methods | ({"transplatformer": network} if "transplatformer" in methods else {})


@dataclass
class Direction:
    """One platform to another: paired rows as arrays, and a split of them."""

    name: str
    adata: ad.AnnData
    arrays: TrainingData
    truth: np.ndarray | None
    train: np.ndarray
    test: np.ndarray

    def run(self, method: BaseTranslator, train: np.ndarray | None = None) -> tuple[np.ndarray, dict[str, float]]:
        """Predictions of the test rows, seconds of fit and prediction, and the same of the processor alone."""
        a, train = self.arrays, self.train if train is None else train
        start, processor = time.perf_counter(), time.process_time()
        method.fit(a.X[train], a.Y[train], groups=a.groups[train], tissue=a.tissue[train])
        fitted = time.perf_counter()
        predicted = method.predict(a.X[self.test], tissue=a.tissue[self.test])
        end = time.perf_counter()
        seconds = {"seconds": end - start, "seconds_to_predict": end - fitted}
        return predicted, seconds | {"processor_seconds": time.process_time() - processor}

    def scores(self, predicted: np.ndarray, tissue: str | None = None) -> dict[str, float]:
        rows = np.ones(len(self.test), dtype=bool) if tissue is None else self.arrays.tissue[self.test] == tissue
        true = self.arrays.Y[self.test][rows]
        values = prediction_scores(true, predicted[rows], column_mean(self.arrays.Y[self.train]))
        return {"n_test": int(rows.sum()), **values, "mae_strong": mae_strong(true, predicted[rows])}


def direction(platforms: dict[str, ad.AnnData], source: str, target: str, seed: int, *, grouped: bool) -> Direction:
    adata = platforms[source].copy()
    scgx.pp.add_target(adata, platforms[target], gene_key="gene_symbol")
    arrays = training_data(adata, target_key="target", layer=None, group_key="compound", tissue_key="tissue")
    folds = (StratifiedGroupKFold if grouped else StratifiedKFold)(N_FOLDS, shuffle=True, random_state=seed)
    train, test = next(folds.split(arrays.X, arrays.tissue, arrays.groups if grouped else None))
    truth = None
    if "truth" in platforms[target].layers:
        truth = np.asarray(platforms[target][adata.obs_names[arrays.rows]].layers["truth"])
    return Direction(f"{NAMES[source]} → {NAMES[target]}", adata, arrays, truth, train, test)


def directions(platforms: dict[str, ad.AnnData], seed: int) -> dict[tuple[str, str], Direction]:
    """All pairs of platforms that share enough treatments to hold some out."""
    ways = {}
    for source, target in permutations(NAMES, 2):
        shared = platforms[source].obs_names.intersection(platforms[target].obs_names)
        if platforms[source].obs.loc[shared, "compound"].nunique() < N_FOLDS:
            print(f"{NAMES[source]} → {NAMES[target]}: {len(shared)} shared treatments are too few, left out")
            continue
        ways[source, target] = direction(platforms, source, target, seed, grouped=True)
    return ways


def prepare(size: Size) -> None:
    """Some forty short trainings: no word of lightning's and scvi's about each, and no threads where they only wait."""
    import scvi
    import torch

    if max(size.panels) < FEWEST_GENES_FOR_THREADS:
        torch.set_num_threads(1)
    scvi.settings.verbosity = logging.WARNING
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning|mudata")


def hours(size: Size) -> float:
    """What some 36 trainings of the network take at most, from one training step on this machine."""
    import torch

    from scgx.nn import TransPlatformer as Module
    from scgx.nn import TransPlatformerConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    n_source, _, n_target = size.panels
    network = Module(TransPlatformerConfig(n_source=n_source, n_target=n_target, **size.network)).to(device)
    for _ in range(2):  # the first call compiles
        start = time.perf_counter()
        network(torch.randn(16, n_source, device=device)).sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
    return 36 * size.training["max_epochs"] * size.rows / 16 * (time.perf_counter() - start) / 3600
