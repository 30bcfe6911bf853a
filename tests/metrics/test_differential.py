from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, recall_score

from scgx.metrics import deg_auprc, deg_recall, deg_sign_accuracy, mse_top20_de, overlap_at_n

Changes = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture
def changes() -> Changes:
    """Measured changes, predicted changes, which genes changed; 6 × 80."""
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, (6, 80))
    return true, 0.5 * true + rng.normal(0, 0.8, true.shape), np.abs(true) > 1


def test_metrics_of_changed_genes_equal_cell_eval(changes: Changes) -> None:
    pytest.importorskip("cell_eval")
    import polars as pl
    from cell_eval._types import DESortBy, initialize_de_comparison
    from cell_eval.metrics import DEDirectionMatch, DESigGenesRecall, compute_pr_auc, de_overlap_metric

    true, predicted, is_deg = changes
    p_value = np.random.default_rng(1).uniform(0, 0.1, predicted.shape)

    def table(change: np.ndarray, fdr: np.ndarray) -> pl.DataFrame:
        row, gene = (index.ravel() for index in np.indices(change.shape))
        columns = {"target": row.astype(str), "feature": gene.astype(str), "log2_fold_change": change.ravel()}
        return pl.DataFrame({**columns, "p_value": fdr.ravel(), "fdr": fdr.ravel()})

    comparison = initialize_de_comparison(table(true, np.where(is_deg, 0.01, 0.5)), table(predicted, p_value))

    def values(scores: dict[str, float]) -> np.ndarray:
        return np.array([scores[str(i)] for i in range(len(true))])

    ours = deg_sign_accuracy(true, predicted, is_deg)
    np.testing.assert_allclose(ours, values(DEDirectionMatch()(comparison)))
    np.testing.assert_allclose(deg_recall(is_deg, p_value < 0.05), values(DESigGenesRecall()(comparison)))
    np.testing.assert_allclose(deg_auprc(is_deg, -np.log10(p_value)), values(compute_pr_auc(comparison)), atol=1e-6)

    everything = initialize_de_comparison(*(table(change, np.zeros_like(change)) for change in (true, predicted)))
    expected = values(de_overlap_metric(everything, k=15, sort_by=DESortBy.ABS_LOG2_FOLD_CHANGE))
    np.testing.assert_allclose(overlap_at_n(true, predicted, 15), expected)


def test_top_20_error_equals_a_loop_with_gaps(changes: Changes) -> None:
    true, predicted, _ = changes
    true[np.random.default_rng(2).random(true.shape) < 0.3] = np.nan
    expected = []
    for t, p in zip(true, predicted, strict=True):
        largest = pd.Series(t).abs().nlargest(20).index
        expected.append(sum((t[g] - p[g]) ** 2 for g in largest) / 20)
    np.testing.assert_allclose(mse_top20_de(true, predicted), expected)


def test_recall_and_area_equal_scikit_learn_on_tested_genes(changes: Changes) -> None:
    _, predicted, is_deg = changes
    tested = np.random.default_rng(3).random(is_deg.shape) > 0.2
    partly = np.where(tested, is_deg, np.nan)
    called, score = np.abs(predicted) > 0.8, np.where(tested, np.abs(predicted), np.nan)
    recall = [recall_score(is_deg[i, tested[i]], called[i, tested[i]]) for i in range(len(is_deg))]
    area = [average_precision_score(is_deg[i, tested[i]], score[i, tested[i]]) for i in range(len(is_deg))]
    np.testing.assert_allclose(deg_recall(partly, called), recall)
    np.testing.assert_allclose(deg_auprc(partly, score), area)


def test_no_change_has_no_direction_and_no_order() -> None:
    rng = np.random.default_rng(0)
    true, none = rng.normal(size=(3, 50)), np.zeros((3, 50))
    assert not deg_sign_accuracy(true, none, np.abs(true) > 1).any()
    np.testing.assert_allclose(overlap_at_n(true, none, 10), 10 / 50)
    shuffled = rng.permutation(50)
    np.testing.assert_allclose(overlap_at_n(true[:, shuffled], none, 10), 10 / 50)
    is_deg = np.abs(true) > 1
    np.testing.assert_allclose(deg_auprc(is_deg, none), is_deg.mean(axis=1))


def test_ties_at_the_border_share_the_places() -> None:
    true = np.array([[5.0, 4.0, 3.0, 2.0, 1.0, 0.5]])
    predicted = np.array([[9.0, 1.0, -1.0, 1.0, 0.0, 0.0]])
    # gene 0 is in; genes 1, 2 and 3 share the two places left, and 1 and 2 are right
    assert overlap_at_n(true, predicted, 3)[0] == pytest.approx((1 + 2 * 2 / 3) / 3)


def test_one_sign_for_all_genes_fools_the_direction_where_most_go_up() -> None:
    true = np.array([[2.0] * 19 + [-2.0]])
    assert deg_sign_accuracy(true, np.ones_like(true), np.ones_like(true))[0] == 0.95
    assert deg_recall(np.ones_like(true), np.ones_like(true))[0] == 1


def test_too_few_genes_have_no_score() -> None:
    true = np.r_[np.arange(1.0, 20), np.full(6, np.nan)][None]  # 19 measured
    predicted = np.ones_like(true)
    assert np.isnan(mse_top20_de(true, predicted)[0])
    assert np.isnan(mse_top20_de(true[:, :5], predicted[:, :5])[0])
    assert np.isnan(overlap_at_n(true, predicted, 20)[0])
    assert not np.isnan(overlap_at_n(true, predicted, 19)[0])
    nothing = np.zeros_like(true)
    assert np.isnan(deg_sign_accuracy(true, predicted, nothing)[0])
    assert np.isnan(deg_recall(nothing, predicted)[0])
    assert np.isnan(deg_auprc(nothing, predicted)[0])
    assert np.isnan(deg_auprc(predicted, predicted)[0])  # every gene changed: any order is right


def test_a_missing_prediction_scores_nothing_instead_of_being_left_out(changes: Changes) -> None:
    true, predicted, is_deg = changes
    predicted[0, np.argmax(np.abs(true[0]))] = np.nan
    for score in (
        mse_top20_de(true, predicted),
        overlap_at_n(true, predicted, 10),
        deg_sign_accuracy(true, predicted, is_deg),
        deg_auprc(is_deg, np.abs(predicted)),
    ):
        assert np.flatnonzero(np.isnan(score)).tolist() == [0]


def test_wrong_shapes_are_named() -> None:
    row, matrix = np.ones(30), np.ones((2, 30))
    with pytest.raises(ValueError, match=r"`true` and `predicted`.*\(30,\) and \(2, 30\).*profile\[None\]"):
        mse_top20_de(row, matrix)
    with pytest.raises(ValueError, match=r"`is_deg` and `score`"):
        deg_auprc(matrix, matrix[:1])
    with pytest.raises(ValueError, match=r"`n_genes` must lie between 1 and .* 30; found 31"):
        overlap_at_n(matrix, matrix, 31)
