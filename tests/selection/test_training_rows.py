from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import BalancedTissue, KernelRidge, PerTissue
from scgx.selection import for_training, training_rows

TISSUE = np.repeat(["liver", "brain", "heart"], [20, 12, 8])
GROUPS = np.arange(40) % 10  # every compound in every tissue or nearly
BRAIN = np.arange(20, 32)


@pytest.mark.parametrize("training", ["mixed", "single"])
def test_all_rows_are_fitted(training: str) -> None:
    rows = training_rows(training, 40, tissue=TISSUE)
    np.testing.assert_array_equal(rows.fit, np.arange(40))
    np.testing.assert_array_equal(rows.balanced(rows.fit), np.arange(40))
    assert not len(rows.held_out)


def test_cross_leaves_the_target_tissue_to_the_test() -> None:
    rows = training_rows("cross", 40, tissue=TISSUE, target_tissue="brain", groups=GROUPS)
    np.testing.assert_array_equal(rows.fit, np.setdiff1d(np.arange(40), BRAIN))
    np.testing.assert_array_equal(rows.held_out, BRAIN)
    np.testing.assert_array_equal(rows.balanced(rows.fit), rows.fit)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "compounds"])
def test_cross_star_draws_so_many_and_tests_on_other_groups(n: int, seed: int, groups: np.ndarray | None) -> None:
    rows = training_rows(
        "cross*", 40, tissue=TISSUE, target_tissue="brain", groups=groups, n_target_samples=n, seed=seed
    )
    drawn = np.intersect1d(rows.fit, BRAIN)
    assert len(drawn) == n
    assert len(rows.fit) == len(set(rows.fit)) == 28 + n
    of = np.arange(40) if groups is None else groups
    np.testing.assert_array_equal(rows.held_out, [row for row in BRAIN if of[row] not in of[drawn]])
    balanced = rows.balanced(rows.fit)
    copies = TISSUE[balanced] == "brain"
    assert copies.sum() == (~copies).sum() == 28
    assert set(balanced[copies]) == set(drawn) == set(rows.drawn)


def test_the_draw_follows_the_seed() -> None:
    draws = [
        training_rows("cross*", 40, tissue=TISSUE, target_tissue="brain", seed=seed).fit.tolist()
        for seed in (0, 0, *range(1, 9))
    ]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 3


def test_candidates_of_a_mode_have_names_of_their_own() -> None:
    ridge = {"ridge": KernelRidge(kernel="linear")}
    assert for_training("mixed", ridge) == for_training("cross", ridge, "brain") == ridge
    (single,) = for_training("single", ridge).items()
    assert single[0] == "ridge per tissue"
    assert isinstance(single[1], PerTissue)
    (star,) = for_training("cross*", ridge, "brain").items()
    assert star[0] == "ridge balanced"
    assert isinstance(star[1], BalancedTissue)
    assert star[1].target_tissue == "brain"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param({"training": "crossed"}, r"`training` must be one of .*'cross\*'.*found 'crossed'", id="unknown"),
        pytest.param({"training": "single", "tissue": None}, "'single'.* give `tissue_key`", id="no-tissue"),
        pytest.param({"training": "cross", "tissue": None}, "'cross'.* give `tissue_key`", id="cross-no-tissue"),
        pytest.param({"training": "cross"}, "found None, there is 'brain', 'heart', 'liver'", id="no-target"),
        pytest.param({"target_tissue": "skin"}, "found 'skin', there is 'brain', 'heart', 'liver'", id="not-there"),
        pytest.param({"training": "single", "target_tissue": "brain"}, "`training` is 'single'", id="no-use"),
        pytest.param({"n_target_samples": 13}, "1 to 12, the measured rows of 'brain'; found 13", id="too-many"),
        pytest.param({"n_target_samples": 0}, "1 to 12.*found 0", id="none"),
        pytest.param({"tissue": np.full(40, "brain")}, "no other tissue", id="alone"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], match: str) -> None:
    given: dict[str, object] = {"training": "cross*", "tissue": TISSUE} | arguments
    if "training" not in arguments:
        given.setdefault("target_tissue", "brain")
    with pytest.raises(ValueError, match=match):
        training_rows(n_rows=40, **given)
