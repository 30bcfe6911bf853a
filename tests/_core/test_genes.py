from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scgx._core import match_genes, require_same_target


def test_match_is_by_name_whatever_the_order() -> None:
    rng = np.random.default_rng(0)
    wanted = pd.Index([f"g{i}" for i in range(50)])
    available = pd.Index(rng.permutation(np.append(wanted[:40], [f"extra{i}" for i in range(30)])))
    match = match_genes(available, wanted, what="adata.var_names")
    assert list(available[match.position]) == list(wanted[match.found]) == list(wanted[:40])
    assert match.overlap == 40 / 50


def test_too_few_genes() -> None:
    with pytest.raises(ValueError, match=r"query has 1 of 4 genes .*25%.* 50% .*'b', 'x'.*'a', 'b', 'c', …"):
        match_genes(pd.Index(["b", "x"]), pd.Index(list("abcd")), what="query")
    assert match_genes(pd.Index(["b", "x"]), pd.Index(list("abcd")), min_overlap=0.25, what="query").overlap == 0.25


@pytest.mark.parametrize(("available", "wanted"), [(["a"], []), ([], ["a"]), (["a"], ["b"])])
def test_no_gene_is_an_error_even_without_a_minimum(available: list[str], wanted: list[str]) -> None:
    with pytest.raises(ValueError, match=f"has 0 of {len(wanted)} genes"):
        match_genes(pd.Index(available), pd.Index(wanted), min_overlap=0, what="query")


def test_duplicates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"query must be unique.*'a'.*var_names_make_unique"):
        match_genes(pd.Index(["a", "a", "b"]), pd.Index(["a"]), what="query")


@pytest.mark.parametrize("translated", [["a", "c"], ["b", "a"], ["a"]], ids=["other", "order", "fewer"])
def test_a_target_registered_anew_is_told_from_the_translated_one(translated: list[str]) -> None:
    registered = np.array(["a", "b"])
    require_same_target(registered, registered.copy(), target_key="target", key="translated")
    with pytest.raises(
        ValueError, match=r"\.obsm\['rna'\] has 2 genes, the translation under 'mine' .*translate again"
    ):
        require_same_target(registered, np.array(translated), target_key="rna", key="mine")
