from __future__ import annotations

from typing import Self

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scgx.estimators import BalancedTissue, BaseTranslator, KernelRidge, SklearnTranslator, balanced_rows


class Record(BaseTranslator):
    """Keeps what it is fitted on."""

    def fit(
        self, X: np.ndarray, Y: np.ndarray, *, groups: np.ndarray | None = None, tissue: np.ndarray | None = None
    ) -> Self:
        self.seen_ = X, Y, groups, tissue
        return self

    def predict(self, X: np.ndarray, *, tissue: np.ndarray | None = None) -> np.ndarray:
        return X


@pytest.mark.parametrize(
    ("tissue", "expected"),
    [
        pytest.param("AABAA", [0, 1, 3, 4, 2, 2, 2, 2], id="one-sample"),
        pytest.param("ABABA", [0, 2, 4, 1, 3, 1], id="not-a-multiple"),
        pytest.param("AAA", [0, 1, 2], id="none"),
        pytest.param("BABB", [1, 0, 2, 3], id="already-most"),
    ],
)
def test_the_target_tissue_is_repeated_until_it_is_half(tissue: str, expected: list[int]) -> None:
    assert balanced_rows(np.array(list(tissue)) == "B").tolist() == expected


def test_copies_keep_their_values_and_share_a_group() -> None:
    X = np.arange(12, dtype=np.float32)[:, None]
    tissue = np.repeat(["liver", "brain"], [10, 2])
    model = BalancedTissue(Record(), "brain").fit(X, 2 * X, tissue=tissue)
    seen, Y, groups, labels = model.translator_.seen_
    assert (labels == "brain").sum() == (labels == "liver").sum() == 10
    np.testing.assert_array_equal(Y, 2 * seen)
    for value in np.unique(seen):
        assert len(set(groups[seen[:, 0] == value])) == 1
    given = BalancedTissue(Record(), "brain").fit(X, X, groups=np.repeat(np.arange(6), 2), tissue=tissue)
    seen, _, groups, _ = given.translator_.seen_
    np.testing.assert_array_equal(groups, seen[:, 0].astype(int) // 2)


def test_replication_is_weighting() -> None:
    """Ridge on replicated rows is scikit-learn's ridge with sample weights."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(31, 5)).astype(np.float32), rng.normal(size=(31, 3)).astype(np.float32)
    tissue = np.repeat(["liver", "brain"], [30, 1])
    model = BalancedTissue(SklearnTranslator(Ridge(2.0)), "brain").fit(X, Y, tissue=tissue)
    expected = Ridge(2.0).fit(X, Y, sample_weight=np.repeat([1.0, 30.0], [30, 1])).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-4)


def test_importance_is_told_where_the_translator_tells_it() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 5)).astype(np.float32)
    tissue = np.repeat(["liver", "brain"], [30, 10])
    model = BalancedTissue(KernelRidge(kernel="linear"), "brain").fit(X, 3 * X[:, :1], tissue=tissue)
    assert model.gene_importance(X).argmax() == 0
    assert not hasattr(BalancedTissue(Record(), "brain"), "gene_importance")


def test_it_needs_tissues() -> None:
    with pytest.raises(ValueError, match="needs `tissue`"):
        BalancedTissue(Record(), "brain").fit(np.zeros((3, 1)), np.zeros((3, 1)))
