from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgx
from scgx.tl import Translator, gene_importance

DRIVERS = [f"g{i}" for i in range(6)]


@pytest.fixture(scope="module")
def driven() -> ad.AnnData:
    """g0–g5 drive all targets, g6–g11 are correlated with them (r = 0.7), g12–g59 are noise. Tissue KI: g0 is silent."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 60))
    X[:, 6:12] = 0.7 * X[:, :6] + np.sqrt(1 - 0.7**2) * X[:, 6:12]
    tissue = np.where(np.arange(150) % 2, "LI", "KI")
    X[tissue == "KI", 0] *= 0.01
    Y = X[:, :6] @ rng.normal(size=(6, 30)) + 0.5 * rng.normal(size=(150, 30))
    names = [f"g{i}" for i in range(60)]
    obs = pd.DataFrame({"tissue": tissue}, index=[f"s{i}" for i in range(150)])
    source = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=names))
    target = ad.AnnData(Y.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"t{i}" for i in range(30)]))
    scgx.pp.add_target(source, target[:120].copy())
    return source


@pytest.fixture(scope="module")
def ridge(driven: ad.AnnData) -> Translator:
    return Translator("ridge").fit(driven)


class Attention:
    """Stands in for a TransPlatformer of four genes; each row gives all its attention to one of them."""

    source_genes = np.array(["g3", "g1", "absent", "g0"])

    def get_attention(self, adata: ad.AnnData) -> np.ndarray:
        return np.eye(4)[np.arange(adata.n_obs) % 2 * 3]


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ("ridge", "weights"),
        ("kernel_ridge", "weights"),
        ("pls", "weights"),
        (["ridge", "kernel_ridge"], "weights"),
        ("ridge", "permutation"),
        ("kernel_ridge", "permutation"),
    ],
    ids=str,
)
def test_drivers_lead_with_a_margin(driven: ad.AnnData, model: str | list[str], method: str) -> None:
    result = gene_importance(driven, model=Translator(model).fit(driven), method=method, copy=True)  # type: ignore[arg-type]
    importance = result.var["importance"]
    assert importance.mean() == pytest.approx(1)
    assert (importance >= 0).all()
    assert importance[DRIVERS].min() > 1.5 * importance.drop(DRIVERS).max()
    assert result.uns["importance"]["method"] == method


@pytest.mark.parametrize("method", ["weights", "permutation"])
def test_a_gene_that_is_silent_in_a_tissue_counts_in_the_other_only(
    driven: ad.AnnData, ridge: Translator, method: str
) -> None:
    result = gene_importance(driven, model=ridge, method=method, groupby="tissue", copy=True)  # type: ignore[arg-type]
    record = result.uns["importance"]
    assert list(record["groups"]) == ["KI", "LI"]
    kidney, liver = result.varm["importance"].T
    np.testing.assert_allclose([kidney.mean(), liver.mean()], 1)
    assert kidney[0] < 0.3 < 2 < liver[0]  # not 0: it is silent, yet not at its training mean
    assert kidney[1] > 2


@pytest.mark.parametrize("method", ["weights", "permutation"])
def test_gene_order_does_not_matter(driven: ad.AnnData, ridge: Translator, method: str) -> None:
    shuffled = driven[:, np.random.default_rng(1).permutation(60)].copy()
    gene_importance(shuffled, model=ridge, method=method)  # type: ignore[arg-type]
    expected = gene_importance(driven, model=ridge, method=method, copy=True).var["importance"]  # type: ignore[arg-type]
    np.testing.assert_allclose(shuffled.var["importance"][driven.var_names], expected, rtol=1e-5)


def test_unknown_genes_have_none_and_missing_ones_are_left_out(driven: ad.AnnData, ridge: Translator) -> None:
    other = driven[:, 5:].copy()
    other.var_names = [*other.var_names[:-1], "unknown"]
    gene_importance(other, model=ridge)
    importance = other.var["importance"]
    assert np.isnan(importance["unknown"])
    assert importance.mean() == pytest.approx(1)
    whole = gene_importance(driven, model=ridge, copy=True).var["importance"]
    ratio = (importance / whole[importance.index[:-1]]).dropna()
    np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=1e-5)


def test_attention_is_averaged_over_rows_and_found_by_name(driven: ad.AnnData) -> None:
    result = gene_importance(driven, model=Attention(), groupby="tissue", copy=True)  # type: ignore[arg-type]
    # 2 of 3 known genes share the attention: even rows (KI) look at g3, odd rows (LI) at g0
    assert result.var["importance"].dropna().to_dict() == {"g0": 1.5, "g1": 0.0, "g3": 1.5}
    table = pd.DataFrame(result.varm["importance"], result.var_names, result.uns["importance"]["groups"]).dropna()
    assert table.to_dict() == {"KI": {"g0": 0, "g1": 0, "g3": 3}, "LI": {"g0": 3, "g1": 0, "g3": 0}}
    assert result.uns["importance"]["method"] == "weights"


def test_a_member_without_weights_is_explained_by_permutation(driven: ad.AnnData) -> None:
    forest = Translator("matrix_completion").fit(driven)
    result = gene_importance(driven, model=forest, copy=True)
    assert result.uns["importance"]["method"] == "permutation"
    assert result.var["importance"][DRIVERS].mean() > 5
    with pytest.raises(ValueError, match="'matrix_completion' has no weights a gene; use `method='permutation'`"):
        gene_importance(driven, model=forest, method="weights")


def test_a_second_call_replaces_the_first_and_can_be_written(
    driven: ad.AnnData, ridge: Translator, tmp_path: Path
) -> None:
    adata = driven.copy()
    gene_importance(adata, model=ridge, groupby="tissue", key_added="ridge")
    assert adata.varm["ridge"].shape == (60, 2)
    gene_importance(adata, model=ridge, key_added="ridge")
    assert "ridge" not in adata.varm
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert ad.read_h5ad(tmp_path / "a.h5ad").uns["ridge"]["groupby"] == ""


@pytest.mark.usefixtures("unchanged_rng")
def test_copy_and_failure_leave_the_object_alone(driven: ad.AnnData, ridge: Translator) -> None:
    before = driven.copy()
    gene_importance(driven, model=ridge, method="permutation", copy=True)
    with pytest.raises(KeyError, match="groupby='tisue' is not in .obs; nearest: 'tissue'"):
        gene_importance(driven, model=ridge, groupby="tisue")
    assert not len(driven.var.columns)
    assert driven.uns.keys() == before.uns.keys()
    np.testing.assert_array_equal(driven.X, before.X)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param(
            {"method": "shap"}, ValueError, "`method` must be 'auto', 'weights' or 'permutation'", id="method"
        ),
        pytest.param(
            {"model": 3}, TypeError, "`model` must be a Translator or a TransPlatformer; found int", id="model"
        ),
        pytest.param({"model": Attention(), "method": "permutation"}, ValueError, "need a `scgx.tl.Trans", id="attn"),
        pytest.param(
            {"model": Attention(), "layer": "x"}, ValueError, "`layer` need a `scgx.tl.Trans", id="attn-layer"
        ),
        pytest.param({"model": Translator()}, ValueError, "is not fitted", id="unfitted"),
    ],
)
def test_errors(
    driven: ad.AnnData, ridge: Translator, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gene_importance(driven, **({"model": ridge} | arguments))  # type: ignore[arg-type]


def test_errors_of_data(driven: ad.AnnData, ridge: Translator) -> None:
    with pytest.raises(ValueError, match="found 0. Register a target"):
        gene_importance(driven[120:].copy(), model=ridge, method="permutation")
    with pytest.raises(ValueError, match="10 of 60 genes that are needed"):
        gene_importance(driven[:, :10].copy(), model=ridge)
    with pytest.raises(ValueError, match="no gene has any importance"):
        gene_importance(driven, model=Translator("mean").fit(driven))
