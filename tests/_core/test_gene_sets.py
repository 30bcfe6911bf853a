from __future__ import annotations

import pandas as pd
import pytest

from scgx.datasets import gene_set_features

SETS = pd.DataFrame(
    [("a", "x"), ("a", "y"), ("a", "z"), ("a", "z"), ("b", "y"), ("b", "z"), ("b", "w"), ("c", "x"), ("c", "y")],
    columns=["source", "target"],
)


def test_each_gene_has_the_sets_it_is_in_and_a_doubled_line_counts_once() -> None:
    features = gene_set_features(SETS, min_size=2)
    assert features.index.tolist() == ["w", "x", "y", "z"]
    for gene, row in features.iterrows():
        expected = set(SETS.loc[SETS["target"] == gene, "source"])
        assert set(row.index[row == 1]) == expected
    assert set(features.to_numpy().ravel()) == {0, 1}


def test_sizes_are_counted_over_all_genes_and_empty_sets_are_left_out() -> None:
    features = gene_set_features(SETS, ["w", "unknown"], min_size=3)
    assert features.index.tolist() == ["w"]
    assert features.columns.tolist() == ["b"]
    assert gene_set_features(SETS, min_size=2, max_size=2).columns.tolist() == ["c"]


def test_nothing_left_and_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="no gene is left: `sets` has 3 sets of 4 genes, such as .*'x'"):
        gene_set_features(SETS, ["ENSG1"])
    with pytest.raises(KeyError, match="column='target' is not in `sets`"):
        gene_set_features(SETS.rename(columns={"target": "gene"}))
