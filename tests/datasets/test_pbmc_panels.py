import numpy as np
import pytest
import scanpy as sc

from scgx.datasets import pbmc_panels


def test_panels_cover_all_genes_and_share_twenty():
    source, target, _ = pbmc_panels(n_source=300, seed=3)
    everything = set(sc.datasets.pbmc68k_reduced().raw.var_names)
    assert source.n_vars == 300
    assert set(source.var_names) | set(target.var_names) == everything
    assert len(set(source.var_names) & set(target.var_names)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_markers_are_in_the_target_only(seed):
    source, target, _ = pbmc_panels(n_source=700, seed=seed)
    markers = {"CD3D", "CD79A", "MS4A1", "NKG7", "GNLY", "LYZ", "CST3", "FCER1A", "FCGR3A", "CD8A", "IL7R", "S100A8"}
    assert markers <= set(target.var_names)
    assert not markers & set(source.var_names)


def test_values_are_scanpys_log_normalised_ones():
    raw = sc.datasets.pbmc68k_reduced().raw.to_adata()
    for panel in pbmc_panels():
        assert panel.X.format == "csr" and panel.X.dtype == np.float32
        expected = raw[panel.obs_names, panel.var_names]
        np.testing.assert_array_equal(panel.X.toarray(), expected.X.toarray())
        assert panel.obs.equals(expected.obs[["bulk_labels", "louvain"]])


@pytest.mark.parametrize(("unmeasured", "n_held_out"), [(0, 0), (0.2, 140), (0.5, 350)])
def test_held_out_cells_are_those_without_target(unmeasured, n_held_out):
    source, target, held_out = pbmc_panels(unmeasured=unmeasured)
    assert held_out.n_obs == n_held_out
    assert held_out.var_names.equals(target.var_names)
    assert not set(target.obs_names) & set(held_out.obs_names)
    assert set(target.obs_names) | set(held_out.obs_names) == set(source.obs_names)


def test_seed_alone_decides():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = pbmc_panels(seed=1), pbmc_panels(seed=1), pbmc_panels(seed=2)
    assert first.source.var_names.equals(again.source.var_names)
    assert first.target.obs_names.equals(again.target.obs_names)
    assert not first.source.var_names.equals(other.source.var_names)
    assert not first.target.obs_names.equals(other.target.obs_names)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"n_source": 19}, "n_source=19, expected 20", id="fewer-than-shared"),
        pytest.param({"n_source": 760}, "all genes but the 26 markers", id="no-room-for-markers"),
        pytest.param({"unmeasured": 1.0}, "unmeasured=1.0, expected a fraction", id="no-cell-left"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        pbmc_panels(**arguments)
