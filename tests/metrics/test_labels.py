from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn import metrics

from scgx.metrics import classification_scores, clustering_scores


def test_scores_of_complete_classes_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    true = rng.choice(list("abc"), 200, p=[0.7, 0.2, 0.1])
    probability = softmax(rng.normal(size=(200, 3)) + 1.5 * (true[:, None] == np.array(list("abc"))), axis=1)
    predicted = np.array(list("abc"))[probability.argmax(axis=1)]
    one_hot = true[:, None] == np.array(list("abc"))
    assert classification_scores(pd.Categorical(true), predicted, probability) == pytest.approx(
        {
            "macro_f1": metrics.f1_score(true, predicted, average="macro"),
            "balanced_accuracy": metrics.balanced_accuracy_score(true, predicted),
            "auroc": metrics.roc_auc_score(true, probability, multi_class="ovr"),
            "auprc": metrics.average_precision_score(one_hot, probability, average="macro"),
        }
    )


@pytest.mark.parametrize("true", [[0, 1, 1, 0, 1], [False, True, True, False, True], [0.0, 1.0, 1.0, 0.0, 1.0]])
def test_a_vector_is_the_probability_of_the_last_class(true: list) -> None:
    probability = np.array([0.2, 0.9, 0.3, 0.4, 0.8])
    scores = classification_scores(true, np.array([0, 1, 0, 0, 1]), probability)
    assert scores["auroc"] == pytest.approx(metrics.roc_auc_score(true, probability))
    assert scores["auprc"] == pytest.approx(metrics.average_precision_score(true, probability))
    assert scores["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)  # whatever the types of the labels


def test_a_foreign_label_is_a_miss_and_no_class() -> None:
    true, predicted = ["a", "a", "b", "b"], ["a", "unknown", "b", None]
    assert classification_scores(true, predicted) == pytest.approx({"macro_f1": 2 / 3, "balanced_accuracy": 0.5})
    without_label = classification_scores([*true, None, np.nan], [*predicted, "a", "b"])
    assert without_label == pytest.approx(classification_scores(true, predicted))


def test_a_class_without_column_has_probability_zero() -> None:
    true, probability = ["a", "b", "c", "c"], np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    scores = classification_scores(true, ["a", "b", "a", "b"], probability, classes=["a", "b"])
    a = metrics.roc_auc_score([1, 0, 0, 0], probability[:, 0])
    b = metrics.roc_auc_score([0, 1, 0, 0], probability[:, 1])
    assert scores["auroc"] == pytest.approx((a + b + 0.5) / 3)
    reordered = classification_scores(true, ["a", "b", "a", "b"], probability[:, ::-1], classes=["b", "a"])
    assert reordered == pytest.approx(scores)


def test_the_largest_class_for_everybody_does_not_pay() -> None:
    true = ["a"] * 95 + ["b"] * 5
    scores = classification_scores(true, ["a"] * 100, np.full(100, 0.05))
    assert metrics.accuracy_score(true, ["a"] * 100) == 0.95
    assert scores["balanced_accuracy"] == scores["auroc"] == 0.5
    assert scores["macro_f1"] < 0.5
    assert scores["auprc"] == pytest.approx(0.05)


def test_one_class_or_no_label_has_no_area() -> None:
    one = classification_scores(["a", "a"], ["a", "b"], np.array([0.1, 0.2]))
    assert one["balanced_accuracy"] == 0.5
    assert np.isnan([one["auroc"], one["auprc"]]).all()
    none = classification_scores([None, None], ["a", "b"], np.array([0.1, 0.2]))
    assert np.isnan(list(none.values())).all()


def test_clusters_are_scored_as_by_scikit_learn_whatever_their_names() -> None:
    rng = np.random.default_rng(0)
    true = rng.choice(["T", "B", "NK"], 120)
    clusters = np.where(rng.random(120) < 0.3, rng.integers(0, 5, 120), pd.factorize(true)[0])
    embedding = rng.normal(size=(120, 4)) + pd.factorize(true)[0][:, None]
    expected = {
        "ari": metrics.adjusted_rand_score(true, clusters),
        "nmi": metrics.normalized_mutual_info_score(true, clusters),
        "homogeneity": metrics.homogeneity_score(true, clusters),
        "completeness": metrics.completeness_score(true, clusters),
        "silhouette": metrics.silhouette_score(embedding, true),
    }
    assert clustering_scores(true, clusters, embedding) == pytest.approx(expected)
    renamed = np.array(list("edcba"))[clusters]
    labelled = clustering_scores([*true, None], [*renamed, "a"], np.vstack([embedding, np.zeros(4)]))
    assert labelled == pytest.approx(expected)


def test_splitting_and_merging_fool_one_score_each() -> None:
    true = np.repeat([0, 1], 50)
    split, merged = clustering_scores(true, np.arange(100)), clustering_scores(true, np.zeros(100))
    assert split["homogeneity"] == merged["completeness"] == 1
    assert split["ari"] == merged["ari"] == merged["nmi"] == 0


def test_undefined_clusterings_are_nan() -> None:
    assert np.isnan(list(clustering_scores(["a", "a"], [0, 1], np.zeros((2, 2))).values())).all()
    assert np.isnan(clustering_scores(["a", "b"], [0, 1], np.zeros((2, 2)))["silhouette"])


def test_wrong_lengths_are_named() -> None:
    with pytest.raises(ValueError, match="`predicted` has 1 rows for 2"):
        classification_scores(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="3 columns for 2 classes; name them with `classes`"):
        classification_scores(["a", "b"], ["a", "b"], np.ones((2, 3)))
    with pytest.raises(ValueError, match="vector, which needs two classes; found 3"):
        classification_scores(["a", "b", "c"], ["a", "b", "c"], np.ones(3))
    with pytest.raises(ValueError, match="`embedding` has 3 rows for 2"):
        clustering_scores(["a", "b"], [0, 1], np.ones((3, 2)))
