from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scgx.estimators import Bilinear, Conditions, MeanDelta, NoChange
from scgx.selection import RESPONSES, make_responses, possible_responses

CONDITIONS = Conditions((("x",), ("y",)), np.array(["a", "a"]), np.zeros((2, 3)))
DOUBLES = replace(CONDITIONS, perturbations=(("x",), ("x", "y")))
CONTEXTS = replace(CONDITIONS, perturbations=(("x",), ("x",)), context=np.array(["a", "b"]))
FEATURES = replace(CONDITIONS, features=np.ones((2, 4)))
DOSES = replace(CONDITIONS, perturbations=(("x",), ("x",)), log_dose=np.array([0.0, 1.0]))
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
        pytest.param(DOSES, {"dose_interpolation"}, id="doses"),
        pytest.param(replace(DOSES, perturbations=(("x",), ("y",))), set(), id="a-dose-each"),
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


def test_names_and_own_responses_stand_in_one_list_and_a_mapping_gives_other_names() -> None:
    own = Bilinear(["g", "h", "i"])
    assert list(make_responses(["no_change", own, "mean_delta"], CONDITIONS, seed=0)) == [
        "no_change",
        "Bilinear",
        "mean_delta",
    ]
    made = make_responses({"two": own, "five": Bilinear(), "no_change": "no_change"}, CONDITIONS, seed=0)
    assert made["two"] is own
    assert isinstance(made["no_change"], NoChange)
    assert list(make_responses("mean_delta", CONDITIONS, seed=0)) == ["mean_delta"]


@pytest.mark.parametrize(
    ("methods", "error", "match"),
    [
        pytest.param(
            ["ridgge"],
            ValueError,
            "`methods` must be names of .* or responses of your own; found 'ridgge'",
            id="unknown",
        ),
        pytest.param(["no_change", "no_change"], ValueError, "`methods` has 'no_change' twice", id="twice"),
        pytest.param([Bilinear(), Bilinear()], ValueError, "two responses of one class need names", id="one-class"),
        pytest.param(
            {"additive": MeanDelta()}, ValueError, "gives the name 'additive' to another response", id="taken"
        ),
        pytest.param({"additive": "linear"}, ValueError, "gives the name 'additive' to another response", id="renamed"),
        pytest.param(
            {"mine": MeanDelta}, TypeError, "instances of scgx.estimators.BaseResponse; found <class", id="class"
        ),
        pytest.param([3], TypeError, "takes names and instances of .*; found 3", id="number"),
    ],
)
def test_what_is_no_method_is_refused(methods: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make_responses(methods, CONDITIONS, seed=0)
