from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from scgx.estimators import (
    Additive,
    BaseResponse,
    Bilinear,
    ConditionKernelRidge,
    Conditions,
    ContextMean,
    DoseInterpolation,
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
    "dose_interpolation": lambda seed: DoseInterpolation(),
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


def make_responses(
    methods: str | Sequence[str | BaseResponse] | Mapping[str, str | BaseResponse], conditions: Conditions, *, seed: int
) -> dict[str, BaseResponse]:
    """Unfitted responses by name.

    Parameters
    ----------
    methods
        A name in :data:`RESPONSES`, several of them, or a list of names and responses of your own, which are called by
        their class. A mapping gives responses other names, which two of one class need.
    conditions
        All conditions at hand, which decide what can be run.
    seed
        Handed to those that are given by name.

    Raises
    ------
    TypeError
        If something is neither a name nor a response.
    ValueError
        For a name that is unknown, there twice or that of another response, or one that needs what ``conditions`` lack.
    """
    made: dict[str, BaseResponse] = {}
    for name, method in methods.items() if isinstance(methods, Mapping) else _by_name(methods):
        if name in made:
            raise ValueError(
                f"`methods` has {name!r} twice; two responses of one class need names: {{name: response}}."
            )
        if name in RESPONSES and method != name:
            raise ValueError(f"`methods` gives the name {name!r} to another response; choose another name.")
        made[name] = _unfitted(method, conditions, seed) if isinstance(method, str) else _own(method)
    return made


def _by_name(methods: str | Sequence[str | BaseResponse]) -> list[tuple[str, str | BaseResponse]]:
    listed = [methods] if isinstance(methods, str) else methods
    if not isinstance(listed, Sequence):
        raise TypeError(f"`methods` takes a list of names and responses; found {methods!r}. Put it into a list.")
    return [(method if isinstance(method, str) else type(method).__name__, method) for method in listed]


def _unfitted(name: str, conditions: Conditions, seed: int) -> BaseResponse:
    if name not in RESPONSES:
        raise ValueError(f"`methods` must be names of {sorted(RESPONSES)}, or responses of your own; found {name!r}.")
    if lacking := _lacking(name, conditions):
        raise ValueError(f"method {name!r} needs {lacking}, which these conditions do not have.")
    return RESPONSES[name](seed)


def _own(response: BaseResponse) -> BaseResponse:
    if not isinstance(response, BaseResponse):
        raise TypeError(f"`methods` takes names and instances of scgx.estimators.BaseResponse; found {response!r}.")
    return response


def _lacking(name: str, conditions: Conditions) -> str:
    """What a response cannot do without and the conditions do not have; empty if it can be run."""
    if name == "design_mean" and conditions.design is None:
        return "a design"
    if name in ("context_mean", "similarity_weighted") and not _at_several(conditions, conditions.context):
        return "a perturbation in several contexts"
    if name in ("additive", "linear") and all(len(names) == 1 for names in conditions.perturbations):
        return "combinations"
    if name == "dose_interpolation" and (
        conditions.log_dose is None or not _at_several(conditions, conditions.log_dose)
    ):
        return "a perturbation at several doses"
    if name in WITH_FEATURES and conditions.features is None:
        return "features"
    if name in ("tanimoto_knn", "kernel_ridge") and (np.asarray(conditions.features) < 0).any():
        return "features of at least 0"
    return ""


def _at_several(conditions: Conditions, values: np.ndarray) -> bool:
    """Whether a perturbation was measured at several of the values that conditions have."""
    first: dict[tuple[str, ...], object] = {}
    return any(
        first.setdefault(names, value) != value
        for names, value in zip(conditions.perturbations, values.tolist(), strict=True)
    )
