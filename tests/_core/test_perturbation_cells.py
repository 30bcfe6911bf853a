from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scgx._core.perturbation_cells import PerturbationColumns, perturbation_table, set_means, sort_cells

COLUMNS = PerturbationColumns("gene", "ctrl", "+", context="line", design=("plate",))


def test_means_of_sets_are_the_same_for_every_form_of_matrix(tmp_path: Path) -> None:
    X = np.random.default_rng(0).poisson(0.3, (3000, 7)).astype(np.float32)
    sets = [np.arange(2500), np.array([2999, 4, 4]), np.array([7])]
    expected = np.stack([X[rows].astype(np.float64).mean(axis=0) for rows in sets])
    ad.AnnData(sparse.csr_matrix(X)).write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r").X
    for form in (X, sparse.csr_matrix(X), sparse.csc_array(X), backed):
        np.testing.assert_allclose(set_means(form, sets), expected, rtol=1e-7)


@pytest.mark.parametrize(
    ("label", "names"), [("ctrl", ()), ("A+ctrl", ("A",)), ("B + A", ("A", "B")), ("A+A", ("A",)), ("A-B", ("A-B",))]
)
def test_a_label_names_a_set(label: str, names: tuple[str, ...]) -> None:
    assert COLUMNS.names(label) == names


def test_cells_meet_the_controls_of_their_plate_in_the_order_of_the_table() -> None:
    obs = pd.DataFrame(
        {
            "gene": ["A", "ctrl", "A", "B+A", "ctrl", "ctrl", "A+B"],
            "line": list("xxxxxyx"),
            "plate": ["1", "1", "2", "1", "2", "1", "1"],
        },
        index=[f"c{i}" for i in range(7)],
    )
    table = perturbation_table(ad.AnnData(np.ones((7, 1)), obs=obs), COLUMNS)
    sorted_cells = sort_cells(table.iloc[::-1], min_controls=1)
    assert sorted_cells.table["names"].tolist() == [("A",), ("A",), ("A", "B")]
    assert [rows.tolist() for rows in sorted_cells.cells] == [[0], [2], [6, 3]]
    assert [sorted_cells.controls[unit].tolist() for unit in sorted_cells.unit] == [[1], [4], [1]]
    with pytest.raises(ValueError, match="there are 1 control cells for 'x 1'; at least 2 are needed, for the truth"):
        sort_cells(table)
