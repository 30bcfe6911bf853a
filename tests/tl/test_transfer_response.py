from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import scgx
from scgx.metrics import interval_coverage


def conditions(drugs: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"drug": drugs, "organ": "liver"}, index=[f"row{i}" for i in range(len(drugs))])


@pytest.fixture
def pair() -> tuple[AnnData, AnnData]:
    """Query = 0.2 + 0.6 × mouse + noise over two drugs; the query lacks the first 50 of 300 genes; pig is noisier."""
    rng = np.random.default_rng(0)
    mouse = rng.normal(size=(2, 300))
    pig = mouse + 1.5 * rng.normal(size=mouse.shape)
    query = 0.2 + 0.6 * mouse + 0.05 * rng.normal(size=mouse.shape)
    query[:, :50] = np.nan
    names = [f"g{j}" for j in range(300)]
    reference = AnnData(np.vstack([pig, mouse]), obs=conditions(["a", "b", "a", "b"]))
    reference.obs["species"] = ["pig", "pig", "mouse", "mouse"]
    rat = AnnData(query, obs=conditions(["a", "b"]))
    rat.var_names = reference.var_names = names
    return rat, reference


def run(query: AnnData, reference: AnnData, **arguments: object) -> AnnData:
    return scgx.tl.transfer_response(query, reference, species_key="species", copy=True, **arguments)


def score(adata: AnnData, method: str, column: str, split: str = "gene") -> float:
    scores = adata.uns["transfer_response"]["scores"]
    return float(scores[column][(scores["method"] == method) & (scores["split"] == split)][0])


def test_affine_finds_the_true_map_and_the_nearest_species(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    out = run(query, reference, method="affine")
    expected = 0.2 + 0.6 * reference.X[2:, :50]
    np.testing.assert_allclose(out.layers["response_transferred"][:, :50], expected, atol=0.05)
    copied = run(query, reference, method="copy").layers["response_transferred"]
    np.testing.assert_allclose(copied, reference.X[2:], rtol=1e-6)


def test_auto_is_as_good_as_the_truth_allows_and_says_what_it_weighed(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    out = run(query, reference)
    record = out.uns["transfer_response"]
    assert record["split"] == {"within": "gene"}
    assert set(scgx.selection.TRANSFERS) <= set(record["scores"]["method"])
    truth = 0.2 + 0.6 * reference.X[2:, :50]
    assert np.abs(out.layers["response_transferred"][:, :50] - truth).mean() < 0.06
    assert score(out, "copy", "skill") < 0.8 < 0.97 < score(out, "ridge", "skill")


def test_interval_holds_genes_that_were_never_seen(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    rng = np.random.default_rng(1)
    truth = 0.2 + 0.6 * reference.X[2:] + 0.05 * rng.normal(size=query.shape)
    out = run(query, reference, method="affine", interval=0.8)
    record = out.uns["transfer_response"]
    hidden = np.where(np.isnan(query.X), truth, np.nan)
    widths = np.broadcast_to(record["half_width"][:, None], truth.shape)
    assert 0.65 < interval_coverage(hidden, out.layers["response_transferred"], widths) < 0.95
    assert record["coverage"]["within"] == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("method", ["affine", "latent_arithmetic", "ridge"])
def test_order_of_genes_and_of_reference_rows_does_not_matter(pair: tuple[AnnData, AnnData], method: str) -> None:
    query, reference = pair
    first = run(query, reference, method=method).layers["response_transferred"]
    rng = np.random.default_rng(3)
    genes, rows = rng.permutation(300), rng.permutation(4)
    second = run(query, reference[rows, genes].copy(), method=method).layers["response_transferred"]
    np.testing.assert_allclose(first, second, atol=1e-5)
    third = run(query[::-1, genes].copy(), reference, method=method)
    back = third[query.obs_names, query.var_names].layers["response_transferred"]
    missing = np.isnan(query.X)  # measured cells are in other folds now
    np.testing.assert_allclose(first[missing], back[missing], atol=1e-5)


def test_a_shuffled_reference_gives_no_skill(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    query.X = query.X - np.nanmean(query.X)
    reference.X = reference.X[:, np.random.default_rng(5).permutation(300)]
    out = run(query, reference)
    assert score(out, out.uns["transfer_response"]["method"]["within"], "skill") < 0.03
    assert score(out, "copy", "skill") < 0


def test_measured_cells_get_a_prediction_that_did_not_see_them(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    query.X[0, 200] = 1000.0
    out = run(query, reference, method="affine")
    assert abs(out.layers["response_transferred"][0, 200]) < 100


def test_a_gene_known_under_another_drug_is_held_out_by_cell() -> None:
    rng = np.random.default_rng(0)
    mouse = rng.normal(size=(2, 400))
    own = rng.normal(size=400)  # special to the rat, in both drugs: only its other drug tells
    query = mouse + own + 0.05 * rng.normal(size=mouse.shape)
    truth = query[0, :40].copy()
    query[0, :40] = np.nan
    rat, reference = AnnData(query, obs=conditions(["a", "b"])), AnnData(mouse, obs=conditions(["a", "b"]))
    scgx.tl.transfer_response(rat, reference, method="ridge")
    assert rat.uns["transfer_response"]["split"] == {"within": "cell"}
    assert score(rat, "ridge", "pearson_delta", "cell") > 0.95
    assert score(rat, "species_mean", "pearson_delta", "cell") == 0
    np.testing.assert_allclose(rat.layers["response_transferred"][0, :40], truth, atol=0.5)


def test_a_drug_never_measured_is_predicted_and_validated_by_drug() -> None:
    rng = np.random.default_rng(0)
    mouse = rng.normal(size=(4, 300))
    query = 0.5 * mouse + 0.02 * rng.normal(size=mouse.shape)
    query[3] = np.nan
    drugs = ["a", "b", "c", "new"]
    rat, reference = AnnData(query, obs=conditions(drugs)), AnnData(mouse, obs=conditions(drugs))
    scgx.tl.transfer_response(rat, reference, method=["affine", "ridge"])
    record = rat.uns["transfer_response"]
    assert record["split"]["condition"] == "condition"
    np.testing.assert_allclose(rat.layers["response_transferred"][3], 0.5 * mouse[3], atol=0.1)
    assert score(rat, "affine", "skill", "condition") > 0.97
    assert np.isfinite(record["half_width"]).all()


@pytest.mark.parametrize("method", ["ridge", "boosting"])
def test_species_and_features_that_are_missing_in_places_do_no_harm(method: str) -> None:
    rng = np.random.default_rng(0)
    mouse = rng.normal(size=(3, 400))
    query = mouse + 0.05 * rng.normal(size=mouse.shape)
    query[2], query[:, :30] = np.nan, np.nan
    rat = AnnData(query, obs=conditions(["a", "b", "new"]))
    pig = AnnData(mouse[2:] + 0.05 * rng.normal(size=(1, 400)), obs=conditions(["new"]))
    reference = AnnData(np.vstack([mouse, pig.X]), obs=conditions(["a", "b", "new", "new"]))
    reference.obs["species"] = ["mouse", "mouse", "mouse", "pig"]
    rat.varm["features"] = np.where(np.arange(400)[:, None] < 30, 1.0, np.nan) * np.ones((400, 2))
    predicted = run(rat, reference, method=method, features="features").layers["response_transferred"]
    assert np.corrcoef(predicted[:2, :30].ravel(), mouse[:2, :30].ravel())[0, 1] > 0.95
    assert np.corrcoef(predicted[2], mouse[2])[0, 1] > 0.95


def test_a_query_without_any_measurement_gets_the_mean_of_the_species(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    query.X[:] = np.nan
    out = run(query, reference)
    np.testing.assert_allclose(
        out.layers["response_transferred"], (reference.X[:2] + reference.X[2:]) / 2, rtol=1e-5, atol=1e-6
    )
    assert out.uns["transfer_response"]["split"]["within"].startswith("none")
    assert np.isinf(out.uns["transfer_response"]["half_width"]).all()
    with pytest.raises(ValueError, match="must be fitted"):
        run(query, reference, method="ridge")


def test_orthologues_pair_other_names_and_average_several_partners(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    plain = run(query, reference, method="affine").layers["response_transferred"]
    table = pd.DataFrame({"rat": query.var_names, "mouse": [f"m{j}" for j in range(300)]})
    doubled = AnnData(np.hstack([reference.X, reference.X[:, :1]]), obs=reference.obs)
    doubled.var_names = [f"m{j}" for j in range(301)]
    doubled.X[:, 0] -= 1
    doubled.X[:, 300] += 1  # the mean of both copies is the gene
    table.loc[300] = ["g0", "m300"]
    out = run(query, doubled, method="affine", orthologs=table)
    np.testing.assert_allclose(out.layers["response_transferred"], plain, atol=1e-5)
    assert out.uns["transfer_response"]["genes"]["n_one_to_many"] == 2


def test_genes_and_conditions_without_a_partner_stay_nan(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    reference = reference[reference.obs["drug"] == "a", 10:].copy()
    reference.X[:, 5] = np.nan
    predicted = run(query, reference, method="affine").layers["response_transferred"]
    assert predicted.dtype == np.float32
    assert np.isnan(predicted[1]).all()
    assert np.flatnonzero(np.isnan(predicted[0])).tolist() == [*range(10), 15]


def test_result_is_written_to_file_and_read_again(pair: tuple[AnnData, AnnData], tmp_path: Path) -> None:
    out = run(*pair, method=["affine", "ridge"])
    out.write_h5ad(tmp_path / "out.h5ad")
    again = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert again.uns["transfer_response"]["weights"] == out.uns["transfer_response"]["weights"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"method": "rigde"}, r"'rigde' is unknown; nearest: 'ridge'", id="method"),
        pytest.param({"interval": 1.5}, r"`interval` must lie between 0 and 1", id="interval"),
    ],
)
def test_wrong_arguments_are_named(pair: tuple[AnnData, AnnData], change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(*pair, **change)


def test_what_does_not_fit_together_is_named_and_nothing_is_written(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    other = reference.copy()
    other.obs["drug"] = "z"
    other.obs["organ"] = [f"o{i}" for i in range(4)]
    with pytest.raises(ValueError, match="no condition is in both query and reference.*'a, liver'.*'z, o0'"):
        run(query, other)
    renamed = reference.copy()
    renamed.var_names = [f"m{j}" for j in range(300)]
    with pytest.raises(ValueError, match="no gene is in both query"):
        run(query, renamed)
    with pytest.raises(ValueError, match="occur more than once.*species_key"):
        scgx.tl.transfer_response(query, reference)
    with pytest.raises(KeyError, match="on='drugs' is not in query.obs; nearest: 'drug'"):
        run(query, reference, on=["drugs"])
    with pytest.raises(KeyError, match="features='organs' is not in query.varm"):
        run(query, reference, features="organs")
    assert not query.uns
    assert not query.layers


def test_nothing_measured_and_one_species_is_a_copy(pair: tuple[AnnData, AnnData]) -> None:
    query, reference = pair
    query.X[:] = np.nan
    mouse = reference[2:].copy()
    scgx.tl.transfer_response(query, mouse)
    np.testing.assert_allclose(query.layers["response_transferred"], mouse.X, rtol=1e-6)
    assert query.uns["transfer_response"]["method"] == {"within": "copy"}
