from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from scgx.estimators import (
    Additive,
    BaseResponse,
    Bilinear,
    ConditionKernelRidge,
    Conditions,
    ContextMean,
    FeatureRegression,
    KernelRidge,
    LinearCombination,
    MeanDelta,
    NoChange,
    SimilarityWeighted,
    TanimotoNeighbors,
    TargetForest,
)

#: name → response, given a seed
RESPONSES: dict[str, Callable[[int], BaseResponse]] = {
    "no_change": lambda seed: NoChange(),
    "mean_delta": lambda seed: MeanDelta(),
    "design_mean": lambda seed: MeanDelta("design"),
    "context_mean": lambda seed: ContextMean(),
    "similarity_weighted": lambda seed: SimilarityWeighted(),
    "additive": lambda seed: Additive(),
    "linear": lambda seed: LinearCombination(),
    "tanimoto_knn": lambda seed: TanimotoNeighbors(),
    "bilinear": lambda seed: Bilinear(),
    "ridge": lambda seed: FeatureRegression(KernelRidge(kernel="linear", seed=seed)),
    "kernel_ridge": lambda seed: ConditionKernelRidge(seed=seed),
    "random_forest": lambda seed: FeatureRegression(TargetForest(seed=seed)),
}
#: trivial responses that every table shows
RESPONSE_BASELINES = ("no_change", "mean_delta", "design_mean", "context_mean", "similarity_weighted", "additive")
#: responses that learn from features of the perturbation
WITH_FEATURES = ("tanimoto_knn", "bilinear", "ridge", "kernel_ridge", "random_forest")


def possible_responses(conditions: Conditions) -> list[str]:
    """Names in :data:`RESPONSES` that can be run on these conditions."""
    return [name for name in RESPONSES if not _lacking(name, conditions)]


def make_responses(names: Sequence[str], conditions: Conditions, *, seed: int) -> dict[str, BaseResponse]:
    """Unfitted responses by name.

    Parameters
    ----------
    names
        Different names in :data:`RESPONSES`.
    conditions
        All conditions at hand, which decide what can be run.
    seed
        Handed to each.

    Raises
    ------
    ValueError
        For an unknown or doubled name, or one that needs what ``conditions`` lack.
    """
    unknown = [name for name in names if name not in RESPONSES]
    if unknown or len(set(names)) < len(names):
        raise ValueError(f"`methods` must be different names of {sorted(RESPONSES)}; found {list(names)!r}.")
    for name in names:
        if lacking := _lacking(name, conditions):
            raise ValueError(f"method {name!r} needs {lacking}, which these conditions do not have.")
    return {name: RESPONSES[name](seed) for name in names}


def _lacking(name: str, conditions: Conditions) -> str:
    """What a response cannot do without and the conditions do not have; empty if it can be run."""
    if name == "design_mean" and conditions.design is None:
        return "a design"
    if name in ("context_mean", "similarity_weighted") and not _several_contexts(conditions):
        return "a perturbation in several contexts"
    if name in ("additive", "linear") and all(len(names) == 1 for names in conditions.perturbations):
        return "combinations"
    if name in WITH_FEATURES and conditions.features is None:
        return "features"
    if name in ("tanimoto_knn", "kernel_ridge") and (np.asarray(conditions.features) < 0).any():
        return "features of at least 0"
    return ""


def _several_contexts(conditions: Conditions) -> bool:
    contexts: dict[tuple[str, ...], set[str]] = {}
    for names, context in zip(conditions.perturbations, conditions.context, strict=True):
        contexts.setdefault(names, set()).add(str(context))
    return any(len(seen) > 1 for seen in contexts.values())
