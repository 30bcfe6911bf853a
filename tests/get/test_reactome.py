from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scgx


def test_conditions_become_rows() -> None:
    query = scgx.datasets.simulate_reactome(n_genes=40, n_organs=2, n_drugs=5).query
    scgx.pp.reactome(query, drug_key="drug", organ_key="organ", control="control", input_scale="log2", key_added="r")
    found = scgx.get.reactome(query, key="r")
    assert found.shape == (10, 40)
    np.testing.assert_array_equal(found.X, query.varm["r"].T)
    pd.testing.assert_index_equal(found.var_names, query.var_names)
    row = found[(found.obs["drug"] == found.obs["drug"].iloc[3]) & (found.obs["organ"] == found.obs["organ"].iloc[3])]
    assert row.obs_names.tolist() == [f"{found.obs['drug'].iloc[3]}, {found.obs['organ'].iloc[3]}"]
    found.X[:] = 0
    assert query.varm["r"].any()  # a copy
    with pytest.raises(KeyError, match=r"no reactome under 'reactome'.*pp.reactome"):
        scgx.get.reactome(query)
