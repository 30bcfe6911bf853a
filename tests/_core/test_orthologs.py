from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scgx
from scgx._core import GenePairs, ortholog_pairs
from scgx.datasets._orthologs import read_orthologs

TABLE = pd.DataFrame(
    {
        "human": ["TP53", "CYP3A4", "CYP3A4", "ALB", "GAPDH", None],
        "human_ensembl": ["ENSG1", "ENSG2", "ENSG2", "ENSG3", "ENSG4", None],
        "mouse": ["Trp53", "Cyp3a11", "Cyp3a13", "Alb", "Gapdh", "Xist"],
        "mouse_entrez": [22059.0, 13112.0, 13113.0, 11657.0, np.nan, 213742.0],
    }
)


def names_of(pairs: GenePairs, query: list[str], reference: list[str]) -> set[tuple[str, str]]:
    return {(query[q], reference[r]) for q, r in zip(pairs.query, pairs.reference, strict=True)}


def test_one_to_many_is_left_out_or_kept() -> None:
    query, reference = ["ALB", "CYP3A4", "TP53", "LINC1"], ["Cyp3a13", "Trp53", "Cyp3a11", "Alb"]
    one = ortholog_pairs(query, reference, TABLE)
    assert names_of(one, query, reference) == {("ALB", "Alb"), ("TP53", "Trp53")}
    many = ortholog_pairs(query, reference, TABLE, one_to_one=False)
    assert names_of(many, query, reference) == {
        ("ALB", "Alb"),
        ("TP53", "Trp53"),
        ("CYP3A4", "Cyp3a11"),
        ("CYP3A4", "Cyp3a13"),
    }
    assert one.report == {
        "n_query": 4,
        "n_reference": 4,
        "n_pairs": 2,
        "n_one_to_one": 2,
        "n_one_to_many": 2,
        "n_query_without_partner": 1,
        "query_column": "human",
        "reference_column": "mouse",
    }


def test_a_second_copy_that_was_not_measured_leaves_one_partner() -> None:
    pairs = ortholog_pairs(["CYP3A4"], ["Cyp3a11", "Alb"], TABLE)
    assert pairs.report["n_one_to_one"] == 1
    assert (list(pairs.query), list(pairs.reference)) == ([0], [0])


def test_each_side_has_its_own_kind_of_identifier() -> None:
    query, reference = ["ENSG3.7", "ENSG1.14", "ENSG4"], ["11657", "22059", "1"]
    pairs = ortholog_pairs(query, reference, TABLE)
    assert names_of(pairs, query, reference) == {("ENSG3.7", "11657"), ("ENSG1.14", "22059")}
    assert (pairs.report["query_column"], pairs.report["reference_column"]) == ("human_ensembl", "mouse_entrez")


def test_symbols_alike_in_two_species_are_looked_for_in_two_columns() -> None:
    table = pd.DataFrame({"mouse": ["Alb", "Afp", "Trp53"], "rat": ["Alb", "Afp", "Tp53"]})
    pairs = ortholog_pairs(["Alb", "Afp"], ["Afp", "Alb"], table)
    assert (pairs.report["query_column"], pairs.report["reference_column"]) == ("mouse", "rat")
    pairs = ortholog_pairs(["Alb", "Trp53"], ["Tp53", "Alb"], table)
    assert list(pairs.reference) == [1, 0]


def test_data_of_one_species_pair_through_one_column() -> None:
    query, reference = ["Cyp3a11", "Alb", "Trp53"], ["Trp53", "Cyp3a11", "Xist"]
    pairs = ortholog_pairs(query, reference, TABLE)
    assert names_of(pairs, query, reference) == {("Cyp3a11", "Cyp3a11"), ("Trp53", "Trp53")}


def test_equal_symbols_whatever_the_case() -> None:
    pairs = ortholog_pairs(["ALB", "TP53", "X"], ["Tp53", "Y", "Alb"], "symbol")
    assert (list(pairs.query), list(pairs.reference)) == ([0, 1], [2, 0])
    assert pairs.report["n_query_without_partner"] == 1


def test_pairs_follow_the_genes_and_not_the_table() -> None:
    rng = np.random.default_rng(0)
    query, reference = list(TABLE["human"].dropna().unique()), list(TABLE["mouse"])
    expected = names_of(ortholog_pairs(query, reference, TABLE, one_to_one=False), query, reference)
    shuffled = list(rng.permutation(reference))
    pairs = ortholog_pairs(query, shuffled, TABLE.sample(frac=1, random_state=1), one_to_one=False)
    assert names_of(pairs, query, shuffled) == expected
    assert list(pairs.query) == sorted(pairs.query)


def test_errors_say_what_was_looked_for() -> None:
    with pytest.raises(ValueError, match=r"holds any of the 2 gene names of the reference.*'g1'.*'human': 0"):
        ortholog_pairs(["TP53"], ["g1", "g2"], TABLE)
    with pytest.raises(ValueError, match=r"no gene of the query is an orthologue.*'human' and 'mouse'"):
        ortholog_pairs(["TP53"], ["Alb"], TABLE)
    with pytest.raises(ValueError, match="the query's gene names must be unique.*'TP53'"):
        ortholog_pairs(["TP53", "TP53"], ["Alb"], TABLE)
    with pytest.raises(ValueError, match="orthologs='hcop'"):
        ortholog_pairs(["TP53"], ["Alb"], "hcop")  # type: ignore[arg-type]


def test_what_is_no_name_is_returned_as_it_is() -> None:
    assert read_orthologs(TABLE) is TABLE
    assert read_orthologs("symbol") == "symbol"
    assert read_orthologs(None) is None
    with pytest.raises(TypeError, match="orthologs is a int"):
        read_orthologs(3)  # type: ignore[arg-type]


@pytest.mark.realdata
def test_registered_tables_pair_rat_and_mouse_genes() -> None:
    organs = scgx.datasets.load("organs")
    mouse, rat = organs["mouse_ENCODE_TissueEnrich"], organs["rat_bodymap_yu2014"]  # type: ignore[index]
    with pytest.raises(KeyError, match="'hcop_human_mouse_rat'"):
        read_orthologs("hcop_human_mouse_cat")
    one2one = scgx.datasets.load("orthologs")["one2one_human_mouse_rat"]  # type: ignore[index]
    expected = one2one[
        one2one["mouse_symbol"].isin(mouse.var["gene_symbol"]) & one2one["rat_symbol"].isin(rat.var_names)
    ]
    by_symbol = mouse[:, ~mouse.var["gene_symbol"].duplicated()].var["gene_symbol"].tolist()
    for name, kept in (("one2one", 0.999), ("hcop", 0.9), ("homologene2", 0.9)):
        pairs = ortholog_pairs(by_symbol, rat.var_names, read_orthologs(name), one_to_one=name == "one2one")  # type: ignore[arg-type]
        found = {(by_symbol[q], rat.var_names[r]) for q, r in zip(pairs.query, pairs.reference, strict=True)}
        assert pairs.report["query_column"] == "mouse_symbol"
        assert pairs.report["reference_column"] == "rat_symbol"
        wanted = set(zip(expected["mouse_symbol"], expected["rat_symbol"], strict=True))
        assert len(found & wanted) >= kept * len(wanted)
