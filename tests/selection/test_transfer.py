from __future__ import annotations

import numpy as np
import pytest

from scgx.estimators import SpeciesResponses
from scgx.selection import (
    choose_transfer,
    nested_transfer,
    transfer_coverage,
    transfer_folds,
    transfer_half_width,
    transfer_scores,
)


@pytest.fixture
def responses() -> SpeciesResponses:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(2, 3, 200))
    query = 0.6 * reference[0] + 0.2 * reference[1] + 0.1 * rng.normal(size=(3, 200))
    query[1, :20] = np.nan
    return SpeciesResponses(query, reference, np.empty((200, 0)))


@pytest.mark.parametrize("split", ["gene", "cell", "condition"])
def test_folds_keep_groups_whole_and_hold_out_every_measured_cell(responses: SpeciesResponses, split: str) -> None:
    groups = np.repeat(np.arange(100), 2)
    fold = transfer_folds(responses, split, groups, n_folds=5, seed=0)
    np.testing.assert_array_equal(fold >= 0, np.isfinite(responses.query))
    np.testing.assert_array_equal(fold[0, ::2], fold[0, 1::2])
    several = [len(set(column)) for column in fold[:, 20:].T]  # folds of a gene over the conditions
    assert set(several) == ({1} if split == "gene" else {3})
    assert len(np.unique(fold[0])) == (1 if split == "condition" else 5)


def test_scores_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    true, guess, center = rng.normal(size=(3, 2, 100))
    true[0, :10] = np.nan
    scores = transfer_scores(true, guess, center)
    rows = [np.isfinite(row) for row in true]
    r = [np.corrcoef(true[k, u], guess[k, u])[0, 1] for k, u in enumerate(rows)]
    delta = [np.corrcoef((true - center)[k, u], (guess - center)[k, u])[0, 1] for k, u in enumerate(rows)]
    signs = []
    for k, used in enumerate(rows):
        strong = np.flatnonzero(used)[np.argsort(-np.abs(true[k, used]))[: int(used.sum() / 10)]]
        signs.append(np.mean(np.sign(true[k, strong]) == np.sign(guess[k, strong])))
    assert scores["pearson"] == pytest.approx(np.mean(r))
    assert scores["pearson_delta"] == pytest.approx(np.mean(delta))
    assert scores["mae"] == pytest.approx(np.nanmean(np.abs(true - guess)))
    assert scores["skill"] == pytest.approx(1 - np.nansum((true - guess) ** 2) / np.nansum(true**2))
    assert scores["sign_accuracy"] == pytest.approx(np.mean(signs))


def test_stack_finds_the_true_mixture_of_methods(responses: SpeciesResponses) -> None:
    chosen = choose_transfer(responses, ["copy", "species_mean"], "gene", np.arange(200))
    # 0.6 a + 0.2 b = 0.4 a + 0.4 (a + b) / 2
    assert chosen.method == "stack"
    assert chosen.weights == pytest.approx({"copy": 0.4, "species_mean": 0.4}, abs=0.05)


def test_interval_covers_what_other_folds_teach(responses: SpeciesResponses) -> None:
    chosen = choose_transfer(responses, ["ridge"], "gene", np.arange(200))
    # noise of standard deviation 0.1: 90 % within 0.164
    assert transfer_half_width(responses.query, chosen, 0.9) == pytest.approx(np.full(3, 0.164), abs=0.04)
    assert transfer_coverage(responses.query, chosen, 0.9) == pytest.approx(0.9, abs=0.03)


def test_held_out_cells_never_touch_the_choice(responses: SpeciesResponses) -> None:
    first = next(nested_transfer(responses, ["affine", "ridge"], "gene", np.arange(200)))
    spoiled = np.where(first.hidden, 1e3, responses.query)
    other = SpeciesResponses(spoiled, responses.reference, responses.features)
    second = next(nested_transfer(other, ["affine", "ridge"], "gene", np.arange(200)))
    np.testing.assert_array_equal(first.predictions["auto"], second.predictions["auto"])
    assert first.chosen.weights == second.chosen.weights
