from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scgx.estimators import Conditions
from scgx.selection import RESPONSES, make_responses, possible_responses

CONDITIONS = Conditions((("x",), ("y",)), np.array(["a", "a"]), np.zeros((2, 3)))
DOUBLES = replace(CONDITIONS, perturbations=(("x",), ("x", "y")))
CONTEXTS = replace(CONDITIONS, perturbations=(("x",), ("x",)), context=np.array(["a", "b"]))
FEATURES = replace(CONDITIONS, features=np.ones((2, 4)))
ALWAYS = {"no_change", "mean_delta"}


@pytest.mark.parametrize(
    ("conditions", "more"),
    [
        pytest.param(CONDITIONS, set(), id="nothing"),
        pytest.param(DOUBLES, {"additive", "linear"}, id="doubles"),
        pytest.param(CONTEXTS, {"context_mean", "similarity_weighted"}, id="contexts"),
        pytest.param(FEATURES, {"tanimoto_knn", "bilinear", "ridge", "kernel_ridge", "random_forest"}, id="features"),
        pytest.param(
            replace(FEATURES, features=-np.ones((2, 4))), {"bilinear", "ridge", "random_forest"}, id="negative-features"
        ),
        pytest.param(replace(CONDITIONS, design=np.array(["1", "2"])), {"design_mean"}, id="design"),
    ],
)
def test_what_can_be_run_follows_from_the_conditions(conditions: Conditions, more: set[str]) -> None:
    possible = possible_responses(conditions)
    assert set(possible) == ALWAYS | more
    assert list(make_responses(possible, conditions, seed=0)) == possible
    for name in set(RESPONSES) - set(possible):
        with pytest.raises(ValueError, match=f"method '{name}' needs .* which these conditions do not have"):
            make_responses([name], conditions, seed=0)


@pytest.mark.parametrize("names", [["ridgge"], ["no_change", "no_change"]])
def test_unknown_and_doubled_names_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="`methods` must be different names of"):
        make_responses(names, CONDITIONS, seed=0)
