from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scgx.estimators import (
    SpeciesResponses,
    affine_transfer,
    boosting_transfer,
    copy_transfer,
    latent_transfer,
    no_transfer,
    ridge_transfer,
    species_mean_transfer,
)

ALL = np.arange(3)


@pytest.fixture
def responses() -> SpeciesResponses:
    """Two species, three conditions, 120 genes with gaps; the query is close to the second species."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(2, 3, 120))
    query = 0.1 + 0.7 * reference[1] + 0.1 * rng.normal(size=(3, 120))
    reference[1, 0, :5] = np.nan
    reference[:, 1, 7] = np.nan
    query[0, 60:], query[2] = np.nan, np.nan
    return SpeciesResponses(query, reference, rng.normal(size=(120, 2)))


@pytest.mark.parametrize(
    "method",
    [no_transfer, copy_transfer, species_mean_transfer, affine_transfer, latent_transfer, ridge_transfer],
)
def test_only_genes_without_any_reference_stay_unpredicted(
    responses: SpeciesResponses, method: Callable[[SpeciesResponses, np.ndarray], np.ndarray]
) -> None:
    missing = np.isnan(method(responses, ALL)) & np.isnan(responses.query)
    assert not missing.any()
    empty = responses.hide(np.ones((3, 120), dtype=bool)) if method in (copy_transfer,) else responses
    hidden = empty.hide(np.tile(np.arange(120) == 7, (3, 1)))
    assert np.argwhere(np.isnan(method(hidden, ALL)) & np.isnan(hidden.query)).tolist() == [[1, 7]]


def test_copy_takes_the_nearest_and_fills_its_gaps(responses: SpeciesResponses) -> None:
    copied = copy_transfer(responses, ALL)
    np.testing.assert_array_equal(copied[0, :5], responses.reference[0, 0, :5])
    np.testing.assert_array_equal(copied[0, 5:], responses.reference[1, 0, 5:])


def test_affine_is_least_squares(responses: SpeciesResponses) -> None:
    x, y = copy_transfer(responses, ALL), responses.query
    slope, intercept = np.polyfit(x[0, :60], y[0, :60], 1)
    np.testing.assert_allclose(affine_transfer(responses, ALL)[0], intercept + slope * x[0])
    used = np.isfinite(x) & np.isfinite(y)
    slope, intercept = np.polyfit(x[used], y[used], 1)  # condition 2 is not measured: all others teach it
    np.testing.assert_allclose(affine_transfer(responses, ALL)[2], intercept + slope * x[2])


def test_latent_arithmetic_adds_the_mean_shift_of_the_measured_conditions() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(1, 4, 200))
    basis = reference[0]
    shift = 0.3 * basis[0] - 0.2 * basis[3]  # lies in the latent space
    query = reference[0] + shift
    query[3], query[1, 50:] = np.nan, np.nan
    predicted = latent_transfer(SpeciesResponses(query, reference, np.empty((200, 0))), np.arange(4))
    np.testing.assert_allclose(predicted, reference[0] + shift, atol=1e-4)


@pytest.mark.parametrize("method", [ridge_transfer, boosting_transfer])
def test_no_prediction_of_a_cell_depends_on_its_measurement(
    responses: SpeciesResponses, method: Callable[[SpeciesResponses, np.ndarray], np.ndarray]
) -> None:
    cells = np.zeros((3, 120), dtype=bool)
    cells[1, 80:] = True
    other = responses.query.copy()
    other[cells] += 100
    changed = SpeciesResponses(other, responses.reference, responses.features)
    first, second = method(responses.hide(cells), ALL), method(changed.hide(cells), ALL)
    np.testing.assert_array_equal(first, second)


def test_a_gene_never_measured_is_not_predicted_from_columns_it_lacks() -> None:
    """In condition 0 the query's condition 1 tells all; a gene without it must fall back on the other species."""
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(1, 2, 300))
    own = 3 * rng.normal(size=300)
    query = reference[0] + own
    query[:, :100] = np.nan
    query[0, 100:150] = np.nan
    predicted = ridge_transfer(SpeciesResponses(query, reference, np.empty((300, 0))), np.array([0]))[0]
    assert np.corrcoef(predicted[100:150], (reference[0, 0] + own)[100:150])[0, 1] > 0.95
    # the best that is left: regression on the species alone, slope of about 1
    assert np.corrcoef(predicted[:100], reference[0, 0, :100])[0, 1] > 0.8
    assert np.abs(predicted[:100]).max() < 5
