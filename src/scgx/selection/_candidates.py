from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from sklearn.base import BaseEstimator

from scgx.estimators import (
    MLP,
    PLS,
    Anchored,
    BaseTranslator,
    KernelRidge,
    MatrixCompletion,
    QuantileNormalization,
    ResidualOf,
    SameGene,
    SampleAttention,
    Seq2Seq,
    SklearnTranslator,
    TargetForest,
    TrainingAverage,
    TransPlatformer,
)

_Maker = Callable[[np.ndarray, int], BaseTranslator]


def _on_same_gene(pairs: np.ndarray, method: BaseTranslator) -> BaseTranslator:
    """On the residual of the same-gene fit where panels share genes: what one gene says need not be learned."""
    return ResidualOf(SameGene(pairs), method) if len(pairs) else method


#: name → translator, given the shared genes (k × 2: source column, target column) and a seed
METHODS: dict[str, _Maker] = {
    "mean": lambda pairs, seed: TrainingAverage("mean"),
    "median": lambda pairs, seed: TrainingAverage("median"),
    "tissue_mean": lambda pairs, seed: TrainingAverage("mean", by_tissue=True),
    "copy": lambda pairs, seed: SameGene(pairs, fit_method="copy"),
    "same_gene": lambda pairs, seed: SameGene(pairs),
    "quantile": lambda pairs, seed: QuantileNormalization(pairs),
    "ridge": lambda pairs, seed: KernelRidge(kernel="linear", seed=seed),
    "kernel_ridge": lambda pairs, seed: KernelRidge(seed=seed),
    "same_gene+kernel_ridge": lambda pairs, seed: ResidualOf(SameGene(pairs), KernelRidge(seed=seed)),
    "pls": lambda pairs, seed: PLS(seed=seed),
    "random_forest": lambda pairs, seed: TargetForest(seed=seed),
    "sample_attention": lambda pairs, seed: _on_same_gene(pairs, SampleAttention(seed=seed)),
    "seq2seq": lambda pairs, seed: Seq2Seq(seed=seed),
    "transplatformer": lambda pairs, seed: TransPlatformer(seed=seed),
    "anchored_transplatformer": lambda pairs, seed: Anchored(
        _on_same_gene(pairs, KernelRidge(seed=seed)), TransPlatformer(seed=seed), seed=seed
    ),
    "mlp": lambda pairs, seed: MLP(seed=seed),
    "matrix_completion": lambda pairs, seed: MatrixCompletion(seed=seed),
}
#: meaningless where the panels share no gene
NEEDS_SHARED_GENES = ("copy", "same_gene", "quantile", "same_gene+kernel_ridge")
#: what ``method="auto"`` chooses from
AUTO = ("mean", "same_gene", "ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "sample_attention")
#: trivial methods that every table of scores shows
BASELINES = ("mean", "same_gene")

Method: TypeAlias = str | BaseEstimator | Sequence[str]


def make_candidates(method: Method, *, pairs: np.ndarray, seed: int) -> dict[str, BaseTranslator]:
    """Unfitted translators by name.

    Parameters
    ----------
    method
        ``"auto"``, a name, a list of names, or a scikit-learn regressor.
    pairs
        Shared genes, k × 2: source column, target column. Methods that need them are left out of ``"auto"``
        when there are none.
    seed
        Handed to each translator.

    Raises
    ------
    ValueError
        For an unknown or doubled name, an empty list, or a method that needs shared genes where there are none.
    TypeError
        If ``method`` is none of the above.
    """
    if isinstance(method, BaseEstimator):
        single = method if isinstance(method, BaseTranslator) else SklearnTranslator(method)
        return {type(method).__name__: single}
    if not isinstance(method, str | Sequence):
        raise TypeError(
            f"`method` must be 'auto', a name, a list of names or a scikit-learn regressor; found {method!r}."
        )
    names = [method] if isinstance(method, str) else list(method)
    if names == ["auto"]:
        names = [name for name in AUTO if len(pairs) or name not in NEEDS_SHARED_GENES]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(f"`method` must be 'auto' or different names of {sorted(METHODS)}; found {method!r}.")
    lacking = [name for name in names if name in NEEDS_SHARED_GENES and not len(pairs)]
    if lacking:
        raise ValueError(
            f"`method` {lacking} needs genes that both panels measure; found none. If the panels name genes "
            "differently, give `gene_key` to `scgx.pp.add_target`."
        )
    return {name: METHODS[name](pairs, seed) for name in names}
