from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from scgx.metrics import average, centroid_accuracy, perturbation_discrimination
from scgx.metrics._discrimination import Distance

DISTANCES = [
    pytest.param("l1", "cityblock", id="l1"),
    pytest.param("l2", "euclidean", id="l2"),
    pytest.param("cosine", "cosine", id="cosine"),
]


@pytest.fixture
def changes() -> tuple[np.ndarray, np.ndarray]:
    """True and predicted changes of 12 conditions over 30 genes; about half of the predictions find their own."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(12, 30))
    return true, 0.3 * true + rng.normal(size=true.shape)


@pytest.mark.parametrize(("distance", "scipy_name"), DISTANCES)
def test_ranks_equal_scipy_distances(
    changes: tuple[np.ndarray, np.ndarray], distance: Distance, scipy_name: str
) -> None:
    true, predicted = changes
    far = cdist(predicted, true, metric=scipy_name)
    rank = [sum(far[i, j] < far[i, i] for j in range(12)) for i in range(12)]
    assert len(set(rank)) > 3
    np.testing.assert_allclose(perturbation_discrimination(true, predicted, distance=distance), 1 - np.array(rank) / 12)
    if distance == "l2":
        np.testing.assert_allclose(centroid_accuracy(true, predicted), 1 - np.array(rank) / 11)


@pytest.mark.parametrize(("distance", "cell_eval_name"), [("l1", "l1"), ("l2", "euclidean"), ("cosine", "cosine")])
@pytest.mark.parametrize("targets", [False, True], ids=["all-genes", "without-target"])
def test_ranks_equal_cell_eval(
    changes: tuple[np.ndarray, np.ndarray], distance: Distance, cell_eval_name: str, targets: bool
) -> None:
    pytest.importorskip("cell_eval")
    import anndata as ad
    from cell_eval._types import PerturbationAnndataPair
    from cell_eval.metrics import discrimination_score

    true, predicted = changes
    excluded = np.eye(12, 30, dtype=bool)
    true[excluded] = predicted[excluded] = 1.5  # each perturbation moves its own gene
    names = [f"p{i:02d}" for i in range(12)]
    obs = pd.DataFrame({"perturbation": ["control", *names]}, index=[f"cell{i}" for i in range(13)])
    genes = pd.DataFrame(index=names + [f"g{i}" for i in range(18)])
    real, model = (ad.AnnData(np.vstack([np.zeros(30), x]), obs=obs, var=genes) for x in (true, predicted))
    pair = PerturbationAnndataPair(real=real, pred=model, pert_col="perturbation", control_pert="control")
    theirs = discrimination_score(pair, metric=cell_eval_name, exclude_target_gene=targets)
    ours = perturbation_discrimination(true, predicted, distance=distance, excluded=excluded if targets else None)
    np.testing.assert_allclose(ours, [theirs[name] for name in names])
    assert len(set(ours)) > 2


@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_one_prediction_for_all_conditions_is_at_chance(
    changes: tuple[np.ndarray, np.ndarray], distance: Distance
) -> None:
    true, _ = changes
    same = np.tile(true.mean(axis=0) + 0.1, (12, 1))
    assert average(perturbation_discrimination(true, same, distance=distance)) == pytest.approx(13 / 24)
    assert average(centroid_accuracy(true, same)) == pytest.approx(0.5)
    # no change is equally far from everything by cosine: a tie, whatever the order of the conditions
    np.testing.assert_allclose(perturbation_discrimination(true, 0 * true, distance="cosine"), 13 / 24)


def test_the_size_of_a_prediction_fools_the_cosine_only(changes: tuple[np.ndarray, np.ndarray]) -> None:
    true = (changes[0] + 1) * np.linspace(1, 3, 12)[:, None]  # a shared direction, weak and strong conditions
    assert perturbation_discrimination(true, 100 * true, distance="cosine").min() == 1
    assert perturbation_discrimination(true, true, distance="l2").min() == 1
    assert perturbation_discrimination(true, 100 * true, distance="l2").min() < 0.5


def test_permuted_predictions_drop(changes: tuple[np.ndarray, np.ndarray]) -> None:
    true, _ = changes
    predicted = true + np.random.default_rng(1).normal(0, 0.5, true.shape)
    assert average(perturbation_discrimination(true, predicted)) > 0.95
    assert average(perturbation_discrimination(true, np.roll(predicted, 1, axis=0))) < 0.7


def test_what_cannot_be_ranked_is_nan(changes: tuple[np.ndarray, np.ndarray]) -> None:
    true, predicted = changes
    complete = perturbation_discrimination(true, predicted)
    predicted[3, 7] = np.nan
    gap = perturbation_discrimination(true, predicted)
    assert np.flatnonzero(np.isnan(gap)).tolist() == [3]
    np.testing.assert_array_equal(np.delete(gap, 3), np.delete(complete, 3))
    true[0, 7] = np.nan  # a gene not measured in every condition is left out of all distances
    expected = perturbation_discrimination(np.delete(true, 7, axis=1), np.delete(predicted, 7, axis=1))
    np.testing.assert_array_equal(perturbation_discrimination(true, predicted), expected)
    assert np.isnan(perturbation_discrimination(true[:1], predicted[:1])[0])
    assert np.isnan(centroid_accuracy(true[:1], predicted[:1])[0])
    assert np.isnan(perturbation_discrimination(true * np.nan, predicted)).all()


def test_wrong_arguments_are_named(changes: tuple[np.ndarray, np.ndarray]) -> None:
    true, predicted = changes
    with pytest.raises(ValueError, match=r"`distance` must be one of 'l1', 'l2', 'cosine'; found 'l3'"):
        perturbation_discrimination(true, predicted, distance="l3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`excluded` and `predicted`"):
        perturbation_discrimination(true, predicted, excluded=np.zeros(30, dtype=bool))
