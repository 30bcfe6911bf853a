"""What an attention residual adds to a closed form on real pairs, groups held out: table and JSON.

    SCGX_DATA_DIR=… OMP_NUM_THREADS=1 python benchmarks/anchored_ablation.py [--quick]

Sets: ``ccle`` and ``l1000`` of ``translate_real.py``, the first three of the five folds of its first seed. Where the
panels share genes (ccle) all forms but the plain TransPlatformer work on the residual of the same-gene fit. Nothing is
chosen on test rows: epochs, steps, learning rates and shares come from groups left out of the training rows. Each
difference is that of pooled skills, with a paired 95 % interval over the held-out groups. ``--quick``: one fold of ccle.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from torch import Tensor, nn
from torch.nn.utils import parametrize
from translate_real import Pairs, data_sets

import scgx
from scgx._core import TrainingData, training_data
from scgx.estimators import (
    Anchored,
    BaseTranslator,
    GeneScaler,
    KernelRidge,
    ResidualOf,
    SameGene,
    SampleAttention,
    TransPlatformer,
    column_mean,
    group_folds,
)
from scgx.nn import SampleAttention as SampleKernel
from scgx.nn import SlotAttention, TransPlatformerConfig, masked_error, predict, predict_rows
from scgx.nn import TransPlatformer as Trunk

SETS = ("ccle", "l1000")
N_FOLDS = 3  # of five
CLOSED_FORM, SAMPLE_ATTENTION = "kernel ridge", "sample attention"
SLOW = "anchored on sample attention, 1 network"
#: what a form that is not in the package has to beat
RIVALS = (CLOSED_FORM, "anchored TransPlatformer", SAMPLE_ATTENTION)
EXPERIMENTAL = ("anchored, residual in sample", "ridge-initialised skip", "gene attention in the kernel, 1 network")
#: pairs that differ in one thing
ONE_THING = (
    ("anchored TransPlatformer", "anchored, residual in sample"),
    ("ridge-initialised skip", "ridge"),
    ("gene attention in the kernel, 1 network", "sample attention, 1 network"),
    (SLOW, "sample attention, 1 network"),
)


class AnchoredInSample(Anchored):
    """:class:`Anchored` with the learner fitted to what the anchor leaves on the rows it was itself fitted to."""

    def fit(
        self, X: np.ndarray, Y: np.ndarray, *, groups: np.ndarray | None = None, tissue: np.ndarray | None = None
    ) -> Self:
        groups = np.arange(len(X)) if groups is None else groups
        train, test = group_folds(len(X), groups, n_folds=5, seed=self.seed)[0]
        anchor, learner = self._both(X[train], Y[train], groups[train])
        residual, correction = Y[test] - anchor.predict(X[test]), learner.predict(X[test])
        self.share_ = float(np.clip(np.vdot(residual, correction) / np.vdot(correction, correction), 0, 1))
        self.anchor_, self.learner_ = self._both(X, Y, groups)
        return self

    def _both(self, X: np.ndarray, Y: np.ndarray, groups: np.ndarray) -> tuple[BaseTranslator, BaseTranslator]:
        anchor = clone(self.anchor).fit(X, Y, groups=groups)
        return anchor, clone(self.learner).fit(X, Y - anchor.predict(X), groups=groups)


class Skip(nn.Module):
    """x W + b from a given start, plus a TransPlatformer trunk whose output starts at zero."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        super().__init__()
        self.linear = nn.utils.skip_init(nn.Linear, *weight.shape)
        self.linear.load_state_dict({"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(bias)})
        self.trunk = Trunk(TransPlatformerConfig(*weight.shape))
        nn.init.zeros_(self.trunk.projection)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.trunk(x)


class RidgeSkip(BaseTranslator):
    """:class:`Skip` that starts at the ridge solution, both parts trained jointly.

    Learning rate of the skip and number of epochs (0 leaves the ridge solution) are those with the least error on
    left-out groups, on which the ridge solution that starts them was not fitted either.
    """

    def __init__(
        self,
        *,
        skip_rates: tuple[float, ...] = (1e-6, 1e-5),
        trunk_rate: float = 1e-3,
        weight_decay: float = 1.0,
        batch_size: int = 16,
        max_epochs: int = 40,
        patience: int = 6,
        seed: int = 0,
    ) -> None:
        self.skip_rates = skip_rates
        self.trunk_rate = trunk_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.seed = seed

    def fit(
        self, X: np.ndarray, Y: np.ndarray, *, groups: np.ndarray | None = None, tissue: np.ndarray | None = None
    ) -> Self:
        self.scaler_ = GeneScaler("standard").fit(X)
        self.center_ = column_mean(Y)
        self.scale_ = float((Y - self.center_).std()) or 1.0
        x, y = self.scaler_.transform(X), ((Y - self.center_) / self.scale_).astype(np.float32)
        groups = np.arange(len(X)) if groups is None else groups
        train, test = group_folds(len(X), groups, n_folds=5, seed=self.seed)[0]
        truth = torch.from_numpy(y[test])
        best = (np.inf, 0.0, 0)
        for rate in self.skip_rates:
            chosen = (np.inf, rate, 0)
            for epoch, network in enumerate(self._epochs(x[train], y[train], groups[train], rate)):
                error = float(masked_error(torch.from_numpy(predict_rows(network, x[test])), truth))
                chosen = min(chosen, (error, rate, epoch))
                if epoch == self.max_epochs or epoch - chosen[2] == self.patience:
                    break
            best = min(best, chosen)
        _, self.skip_rate_, self.n_epochs_ = best
        self.network_ = next(islice(self._epochs(x, y, groups, self.skip_rate_), self.n_epochs_, None))
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        return predict_rows(self.network_, self.scaler_.transform(X)) * np.float32(self.scale_) + self.center_

    def _epochs(self, x: np.ndarray, y: np.ndarray, groups: np.ndarray, rate: float) -> Iterator[Skip]:
        """The network before the first epoch and after each."""
        ridge = KernelRidge(kernel="linear", seed=self.seed).fit(x, y, groups=groups)
        intercept = ridge.predict(np.zeros((1, x.shape[1]), dtype=np.float32))[0]
        weight = ridge.predict(np.eye(x.shape[1], dtype=np.float32)) - intercept
        torch.default_generator.manual_seed(self.seed)
        network = Skip(weight.astype(np.float32), intercept.astype(np.float32))
        parts = [
            {"params": network.linear.parameters(), "lr": rate, "weight_decay": 0.0},
            {"params": network.trunk.parameters(), "lr": self.trunk_rate, "weight_decay": self.weight_decay},
        ]
        optimizer = torch.optim.AdamW(parts)
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
        yield network
        while True:
            network.train()
            for rows in torch.randperm(len(x)).split(self.batch_size):
                optimizer.zero_grad()
                masked_error(network(inputs[rows]), targets[rows]).backward()
                optimizer.step()
            yield network


class Slowed(nn.Module):
    """A parameter held as a multiple of itself: Adam's steps, which know no units, become so many times smaller."""

    FACTOR = 30.0  # from the rate of 0.03 that kernels are trained at to 0.001 for attention

    def forward(self, parameter: Tensor) -> Tensor:
        return parameter / self.FACTOR

    def right_inverse(self, value: Tensor) -> Tensor:
        return value * self.FACTOR


class GeneAttention(nn.Module):
    """Gene tokens → slots → features of a sample, which start standardised over the rows ``x``."""

    def __init__(self, x: Tensor, *, width: int, n_slots: int, n_features: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.randn(x.shape[1], width) / width**0.5)
        self.gene = nn.Parameter(torch.randn(x.shape[1], width) / width**0.5)
        self.slots = SlotAttention(width, n_slots)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.out = nn.Linear(width * n_slots, n_features, bias=False)
        self.register_buffer("center", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        with torch.no_grad():
            features = self(x)
        self.center, self.scale = features.mean(0), features.std(0)
        for module in (self, self.slots, self.out):
            for name in [name for name, _ in module.named_parameters(recurse=False)]:
                parametrize.register_parametrization(module, name, Slowed())

    def forward(self, x: Tensor) -> Tensor:
        tokens = (x[..., None] * self.value + self.gene)[:, None]
        features = self.out(self.norm(self.slots(tokens)).flatten(1))
        return (features - self.center) / self.scale


class GeneAttentionKernel(SampleKernel):
    """The kernel of sample attention, which compares features of gene attention beside the genes.

    At the start they count ``influence`` of what the genes count. (At none they would stay there: distances are squares,
    without a slope at zero.)
    """

    def __init__(
        self,
        log_weights: Tensor,
        n_targets: int,
        generator: torch.Generator,
        x: Tensor,
        *,
        influence: float = 0.01,
        n_features: int = 32,
    ) -> None:
        first = torch.full((len(log_weights), n_features), 0.5 * np.log(influence * x.shape[1] / n_features))
        super().__init__(torch.cat([log_weights, first], 1), n_targets, generator)
        self.attention = GeneAttention(x, width=8, n_slots=16, n_features=n_features)

    def forward(self, query: Tensor, support: Tensor, targets: Tensor, columns: Tensor) -> Tensor:
        rows = torch.cat([query, support])
        described = torch.cat([rows, self.attention(rows)], 1)
        return super().forward(described[: len(query)], described[len(query) :], targets, columns)


class GeneSampleAttention(SampleAttention):
    """:class:`SampleAttention` with :class:`GeneAttentionKernel`, all of it trained by the same episodes."""

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        x = torch.from_numpy(self._described(X, tissue))
        targets = torch.from_numpy(self.targets_)
        columns = torch.arange(targets.shape[1])
        with torch.no_grad():
            parts = [predict(network, x, self.rows_, targets, columns) for network in self.networks_]
        return torch.stack(parts).mean(0).numpy() + self.intercept_

    def _network(self, x: Tensor, n_targets: int, seed: int) -> tuple[SampleKernel, torch.Generator]:
        plain, generator = super()._network(x, n_targets, seed)
        torch.default_generator.manual_seed(seed)
        return GeneAttentionKernel(plain.log_weights.detach(), n_targets, generator, x), generator

    def _keep(self, networks: list[SampleKernel], support: Tensor) -> None:
        self.networks_, self.rows_ = networks, support


def variants(pairs: np.ndarray, *, slow: bool) -> dict[str, BaseTranslator]:
    """Unfitted translators by name, given the shared genes (k × 2: source column, target column)."""

    def on_same_gene(method: BaseTranslator) -> BaseTranslator:
        return ResidualOf(SameGene(pairs), method) if len(pairs) else method

    kernel, one = on_same_gene(KernelRidge()), SampleAttention(n_members=1)
    forms: dict[str, BaseTranslator] = {
        CLOSED_FORM: kernel,
        "ridge": on_same_gene(KernelRidge(kernel="linear")),
        "TransPlatformer": TransPlatformer(),
        "anchored TransPlatformer": Anchored(kernel, TransPlatformer()),
        "anchored, residual in sample": AnchoredInSample(kernel, TransPlatformer()),
        "ridge-initialised skip": on_same_gene(RidgeSkip()),
        "sample attention, 1 network": on_same_gene(one),
        "gene attention in the kernel, 1 network": on_same_gene(GeneSampleAttention(n_members=1)),
        SAMPLE_ATTENTION: on_same_gene(SampleAttention()),
    }
    if slow:
        forms[SLOW] = Anchored(on_same_gene(one), TransPlatformer())
    return forms


def note(fitted: BaseTranslator) -> str:
    """What left-out groups chose: share of the correction, epochs, steps."""
    inner = getattr(fitted, "second_", fitted)
    if hasattr(inner, "share_"):
        return f"share {inner.share_:.2f}"
    if hasattr(inner, "skip_rate_"):
        return f"rate {inner.skip_rate_:.0e}, {inner.n_epochs_} epochs"
    if hasattr(inner, "n_epochs_"):
        return f"{inner.n_epochs_} epochs"
    return f"{'+'.join(map(str, inner.n_steps_))} steps" if hasattr(inner, "n_steps_") else ""


def scored(data: TrainingData, name: str, method: BaseTranslator, fold: int) -> pd.DataFrame:
    """Squared errors of each held-out group, CPU seconds and what was chosen."""
    train, test = group_folds(len(data.X), data.groups, n_folds=5, seed=0)[fold]
    tissue = (None, None) if data.tissue is None else (data.tissue[train], data.tissue[test])
    start = time.process_time()
    fitted = clone(method).fit(data.X[train], data.Y[train], groups=data.groups[train], tissue=tissue[0])
    predicted = fitted.predict(data.X[test], tissue=tissue[1])
    seconds = time.process_time() - start
    truth = data.Y[test]
    errors = {"squared_error": truth - predicted, "reference_squared_error": truth - column_mean(data.Y[train])}
    parts = [
        pd.Series((error**2).sum(axis=1, dtype=np.float64)).groupby(data.groups[test]).sum().rename("value").rename_axis("group")
        .reset_index().assign(metric=metric)
        for metric, error in errors.items()
    ]  # fmt: skip
    chosen = note(fitted)
    print(f"fold {fold}, {name}: {seconds:.0f} s, {chosen}", flush=True)
    return pd.concat(parts).assign(fold=fold, method=name, seconds=seconds, chosen=chosen)


def measured(pairs: Pairs, n_folds: int, *, slow: bool) -> pd.DataFrame:
    """Squared errors of every form on one set."""
    data = training_data(
        pairs.adata, target_key="target", layer=None, group_key=pairs.group_key, tissue_key=pairs.tissue_key
    )
    parts = [scored(data, *form, fold) for form in variants(data.pairs, slow=slow).items() for fold in range(n_folds)]
    return pd.concat(parts).assign(dataset=pairs.name, split="grouped")


def skills(frame: pd.DataFrame) -> list[dict]:
    """Rows of the table of one set."""
    total = frame.pivot_table(index="method", columns="metric", values="value", aggfunc="sum")
    skill = 1 - total["squared_error"] / total["reference_squared_error"]
    rows = []
    for name, runs in frame.drop_duplicates(["method", "fold"]).groupby("method", sort=False):
        row = {"set": frame["dataset"].iloc[0], "variant": name, "skill": skill[name]}
        row |= difference(frame, name, CLOSED_FORM)
        rows.append(row | {"seconds": runs["seconds"].mean(), "chosen": "; ".join(runs["chosen"])})
    return rows


def contests(frame: pd.DataFrame) -> list[dict]:
    """Forms that the package lacks against each rival, and each form against the one it differs from in one thing."""
    rows = [(name, rival) for name in EXPERIMENTAL for rival in RIVALS] + list(ONE_THING)
    run = set(frame["method"])
    name = frame["dataset"].iloc[0]
    return [{"set": name, "a": a, "b": b, **difference(frame, a, b)} for a, b in rows if {a, b} <= run]


def difference(frame: pd.DataFrame, a: str, b: str) -> dict[str, float]:
    """Skill of ``a`` minus skill of ``b`` with its interval."""
    compared = asdict(scgx.bm.compare(frame, a, b))
    return {key: compared[key] for key in ("difference", "low", "high")}


def report(frames: list[pd.DataFrame]) -> dict[str, Any]:
    """Print and return the tables of all sets."""
    result: dict[str, Any] = {
        "scgx": scgx.__version__,
        "python": platform.python_version(),
        "folds": frames[0]["fold"].nunique(),
        "scores": [row for frame in frames for row in skills(frame)],
        "contests": [row for frame in frames for row in contests(frame)],
    }
    for part in ("scores", "contests"):
        print(pd.DataFrame(result[part]).round(4).to_string(index=False))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one fold of ccle")
    parser.add_argument("--slow", action="store_true", help="also the form anchored on sample attention")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sets, n_folds = (SETS[:1], 1) if arguments.quick else (SETS, N_FOLDS)
    result = report([measured(pairs, n_folds, slow=arguments.slow) for pairs in data_sets() if pairs.name in sets])
    if not arguments.quick:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
