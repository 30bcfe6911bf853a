from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import scgx
from scgx.model import DrugBERT
from scgx.model._drugbert_batches import screen_batches
from scgx.model._drugbert_rows import read_screen
from scgx.model._drugbert_setup import setup_of

KEYS: dict[str, Any] = {
    "perturbation_key": "drug",
    "control": "control",
    "context_key": "cell_line",
    "dose_key": "dose",
    "smiles_key": "smiles",
    "design_keys": ["plate"],
}
SIZE = {"width": 32, "depth": 1}
LOCAL = {"accelerator": "cpu", "progress": False}
EPOCHS = {"pretrain": 10, "fine_tune": 12}


@pytest.fixture(scope="module")
def screen() -> Any:
    return scgx.datasets.simulate_drug_screen(
        n_drugs=40, n_lines=2, n_genes=60, n_mechanisms=5, n_bulk_drugs=100, n_unseen=16, novel_mechanisms=1,
        n_cells=10, n_plates=2, n_replicates=1, plate_noise=0.2, chemistry=1.0, seed=1,
    )  # fmt: skip


def fitted(screen: Any, *, pretrained: bool) -> DrugBERT:
    DrugBERT.setup_anndata(screen.bulk, class_key="mechanism", **KEYS)
    DrugBERT.setup_anndata(screen.cells, **KEYS)
    model = DrugBERT(screen.bulk, **SIZE)
    if pretrained:
        model.pretrain(max_epochs=EPOCHS["pretrain"], batch_size=32, lr=2e-3, validation_size=0, **LOCAL)
    model.fine_tune(screen.cells, max_epochs=EPOCHS["fine_tune"], lr=1e-3, validation_size=0, **LOCAL)
    return model


@pytest.fixture(scope="module")
def trained(screen: Any) -> DrugBERT:
    return fitted(screen, pretrained=True)


def conditions(adata: ad.AnnData) -> pd.DataFrame:
    treated = adata.obs.loc[~adata.obs["is_control"], ["drug", "smiles", "dose", "cell_line"]]
    return treated.drop_duplicates().astype({"drug": str, "smiles": str, "cell_line": str}).reset_index(drop=True)


def changes(model: DrugBERT, query: ad.AnnData, asked: pd.DataFrame) -> np.ndarray:
    return model.predict(query, asked).uns["perturbation_predicted"]["change"]


def correlation(model: DrugBERT, screen: Any) -> np.ndarray:
    """With the true change, of each condition with an unseen drug of a known mechanism."""
    asked = conditions(screen.unseen)
    asked = asked[~screen.drugs.loc[asked["drug"], "novel_mechanism"].to_numpy()]
    predicted = changes(model, screen.unseen, asked)
    truth = screen.effects["cells"].loc[list(zip(asked["drug"], asked["cell_line"], asked["dose"], strict=True))]
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted, truth.to_numpy(), strict=True)])


def test_unseen_drugs_of_known_mechanisms_are_predicted_and_bulk_helps(trained: DrugBERT, screen: Any) -> None:
    with_bulk, without = correlation(trained, screen), correlation(fitted(screen, pretrained=False), screen)
    assert with_bulk.mean() > 0.7  # the ceiling is the truth itself
    by_drug = (with_bulk - without).reshape(-1, 6)  # lines × doses
    assert by_drug.mean() > 0.1


def test_novelty_tells_unseen_mechanisms(trained: DrugBERT, screen: Any) -> None:
    asked = conditions(screen.unseen)
    record = trained.predict(screen.unseen, asked).uns["perturbation_predicted"]
    novel = screen.drugs.loc[asked["drug"], "novel_mechanism"].to_numpy()
    pairs = record["novelty"][novel][:, None] - record["novelty"][~novel]
    assert (pairs > 0).mean() + 0.5 * (pairs == 0).mean() >= 0.9
    assert record["novel"].tolist() == asked["drug"].tolist()
    seen = conditions(screen.cells).iloc[:2]
    record = trained.predict(screen.unseen, seen.drop(columns="smiles")).uns["perturbation_predicted"]
    assert record["novelty"].tolist() == [0, 0]
    assert record["novel"].tolist() == ["", ""]


def test_pretraining_metrics_stand_beside_a_constant(screen: Any) -> None:
    DrugBERT.setup_anndata(screen.bulk, class_key="mechanism", **KEYS)
    model = DrugBERT(screen.bulk, **SIZE)
    model.pretrain(max_epochs=3, batch_size=32, lr=2e-3, **LOCAL)
    table = model.pretraining
    assert table.index.tolist() == ["cell_accuracy", "drug_class_accuracy", "dose_rmse", "mask_rmse", "response_rmse"]
    assert table.loc["drug_class_accuracy", "value"] > table.loc["drug_class_accuracy", "constant"]
    assert table.loc["mask_rmse", "value"] < table.loc["mask_rmse", "constant"]
    assert table.loc["dose_rmse", "constant"] == pytest.approx(np.std([-1, 0, 1]), abs=1e-6)
    history = model.history["validation_mask_rmse"].to_numpy(dtype=float).ravel()
    best = int(model.history["validation_loss"].to_numpy(dtype=float).argmin())
    assert history[best] == pytest.approx(table.loc["mask_rmse", "value"])


def test_cells_have_the_form_of_the_predictor_and_the_predicted_change(
    trained: DrugBERT, screen: Any, tmp_path: Path
) -> None:
    query = screen.unseen[screen.unseen.obs["is_control"]].copy()
    asked = conditions(screen.cells).iloc[:3].drop(columns="smiles")
    predicted = trained.predict(query, asked)
    other = scgx.tl.PerturbationPredictor("mean_delta", **KEYS).fit(screen.cells).predict(query, asked)
    assert predicted.obs.equals(other.obs)
    assert predicted.var_names.equals(query.var_names)
    assert predicted.X.dtype == np.float32
    change = predicted.uns["perturbation_predicted"]["change"]
    for row, one in enumerate(asked.itertuples()):
        at = (predicted.obs["drug"] == one.drug) & (predicted.obs["cell_line"] == one.cell_line)
        start = np.asarray(query[query.obs["cell_line"] == one.cell_line].X.mean(axis=0)).ravel()
        mean = predicted[at & (predicted.obs["dose"] == one.dose)].X.mean(axis=0)
        np.testing.assert_allclose(mean - start, np.maximum(change[row], -start), atol=1e-4)
    predicted.write_h5ad(tmp_path / "cells.h5ad")


def test_a_saved_model_predicts_the_same_with_genes_in_another_order_or_missing(
    trained: DrugBERT, screen: Any, tmp_path: Path
) -> None:
    query, asked = screen.unseen[screen.unseen.obs["is_control"]].copy(), conditions(screen.unseen).iloc[:4]
    expected = changes(trained, query, asked)
    trained.save(tmp_path / "model")
    loaded = DrugBERT.load(tmp_path / "model")
    np.testing.assert_array_equal(changes(loaded, query, asked), expected)
    pd.testing.assert_frame_equal(loaded.history["train_loss"], trained.history["train_loss"])
    rng = np.random.default_rng(0)
    mixed = query[rng.permutation(query.n_obs), rng.permutation(query.n_vars)].copy()
    place = mixed.var_names.get_indexer(query.var_names)
    np.testing.assert_allclose(changes(loaded, mixed, asked)[:, place], expected, atol=1e-5)
    few = loaded.predict(query[:, 10:].copy(), asked)
    record = few.uns["perturbation_predicted"]
    assert record["overlap"] == pytest.approx(50 / 60)
    assert few.var_names.equals(query.var_names[10:])
    by_row = [np.corrcoef(a, b)[0, 1] for a, b in zip(record["change"], expected[:, 10:], strict=True)]
    assert min(by_row) > 0.9
    latent = trained.get_latent_representation(screen.unseen)
    assert latent.shape == (screen.unseen.n_obs, 32)
    backwards = screen.unseen[::-1, ::-1].copy()
    np.testing.assert_allclose(loaded.get_latent_representation(backwards)[::-1], latent, atol=1e-4)


def test_the_network_is_a_start_beside_the_closed_forms(trained: DrugBERT, screen: Any) -> None:
    cells = screen.cells[:, ::-1].copy()
    start = trained.response_network(cells.var_names)
    own = trained.module.network
    order = np.array([trained.genes.tolist().index(gene) for gene in cells.var_names])
    control, bits = torch.rand(3, 60), torch.rand(3, 2048).round()
    condition = (bits, torch.zeros(3, dtype=torch.int64), torch.zeros(3))
    expected = own(control, condition=condition)[0][:, order]
    torch.testing.assert_close(start.eval()(control[:, order], condition=condition)[0], expected, atol=1e-5, rtol=1e-4)
    methods = {
        "drugbert": scgx.estimators.DrugBERT(start, max_epochs=2),
        "kernel": scgx.estimators.ConditionKernelRidge(),
    }
    frame = scgx.bm.perturb(cells, **KEYS, methods=methods, n_folds=2, n_divisions=1)
    scores = frame[(frame["metric"] == "pearson_delta") & (frame["group"] == "")].groupby("method")["value"].mean()
    assert scores["drugbert"] > scores["mean_delta"]  # it knows these drugs from bulk and from these cells
    assert "kernel" in scores.index


def test_each_condition_is_predicted_for_itself(trained: DrugBERT, screen: Any) -> None:
    asked = conditions(screen.unseen).iloc[:5]
    together = changes(trained, screen.unseen, asked)
    alone = np.concatenate([changes(trained, screen.unseen, asked.iloc[[k]]) for k in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_training_does_not_depend_on_the_order_of_genes_or_the_form_of_the_matrix(screen: Any) -> None:
    found, asked = [], conditions(screen.cells).iloc[:2]
    for data in (screen.cells, screen.cells[:, ::-1].copy()):
        data = data.copy()
        data.X = data.X if found else sparse.csc_matrix(data.X)
        DrugBERT.setup_anndata(data, **KEYS)
        model = DrugBERT(data, width=8, depth=1)
        model.fine_tune(data, max_epochs=1, validation_size=0, **LOCAL)
        found.append(changes(model, screen.unseen, asked))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_wells_and_conditions_are_changes_from_controls_of_the_same_plate(screen: Any) -> None:
    bulk = screen.bulk
    DrugBERT.setup_anndata(bulk, **KEYS)
    wells = read_screen(bulk, setup_of(bulk, "bulk"), wells=True, seed=0)
    row = 17
    one = wells.table.iloc[row]
    obs = bulk.obs
    at = (obs["drug"] == one["label"]) & (obs["cell_line"] == one["context"])
    at &= np.isclose(np.log10(obs["dose"].clip(lower=1e-9)), one["log_dose"])
    well = bulk[at]
    plate = bulk[(obs["plate"] == well.obs["plate"].iloc[0]) & obs["is_control"]]
    np.testing.assert_allclose(wells.change[row], well.X[0] - plate.X.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(wells.controls[wells.control_rows[wells.unit[row]]].mean(0), plate.X.mean(0), atol=1e-5)
    model = DrugBERT(bulk, width=8)
    everything = (np.arange(len(wells.unit)), np.zeros(0, dtype=int))
    batches = screen_batches(wells, model.module.network.config, everything, batch_size=64, mask_ratio=0.8, seed=0)
    epoch = np.concatenate(batches.of_epoch(0))
    assert sorted(epoch) == list(range(len(wells.unit)))
    assert batches.load(epoch, torch.Generator().manual_seed(0))["hidden"].float().mean() == pytest.approx(
        0.8, abs=0.01
    )


def test_single_cells_may_have_other_genes_and_lines_than_bulk(screen: Any) -> None:
    bulk = screen.bulk[screen.bulk.obs["cell_line"] == "line0", :40].copy()
    DrugBERT.setup_anndata(bulk, **KEYS)
    DrugBERT.setup_anndata(screen.cells, **KEYS)
    model = DrugBERT(bulk, width=8, depth=1)
    model.pretrain(tasks=["value", "response"], max_epochs=1, validation_size=0, **LOCAL)
    model.fine_tune(screen.cells, max_epochs=1, validation_size=0, **LOCAL)
    assert set(model.genes) == set(screen.cells.var_names)
    assert changes(model, screen.unseen, conditions(screen.unseen).iloc[:2]).shape == (2, 60)
    few = screen.cells[:, 30:].copy()
    DrugBERT.setup_anndata(few, **KEYS)
    model = DrugBERT(bulk, width=8, depth=1)
    model.pretrain(max_epochs=1, validation_size=0, **LOCAL)
    with pytest.raises(ValueError, match="has 10 of 40 genes that are needed"):
        model.fine_tune(few, max_epochs=1, **LOCAL)
    assert len(model.genes) == 40  # a failing call changes nothing


def test_nothing_is_written_to_the_users_data_and_global_seeds_stay(screen: Any) -> None:
    cells = screen.cells[:, :20].copy()
    before, state = cells.copy(), torch.get_rng_state()
    DrugBERT.setup_anndata(cells, **KEYS)
    model = DrugBERT(cells, width=8, depth=1)
    model.fine_tune(cells, max_epochs=1, **LOCAL)
    model.predict(cells, conditions(cells).iloc[:1])
    assert torch.equal(torch.get_rng_state(), state)
    assert list(cells.uns) == list(before.uns)
    assert cells.obs.equals(before.obs)
    assert (cells.X != before.X).nnz == 0


def test_without_smiles_a_drug_is_known_by_its_name(screen: Any) -> None:
    keys = KEYS | {"smiles_key": None}
    cells = screen.cells.copy()
    DrugBERT.setup_anndata(cells, **keys)
    model = DrugBERT(cells, width=8, depth=1)
    model.fine_tune(cells, max_epochs=1, validation_size=0, **LOCAL)
    asked = conditions(cells).iloc[:1].drop(columns="smiles")
    assert model.predict(cells, asked).uns["perturbation_predicted"]["novelty"].tolist() == [0]
    with pytest.raises(KeyError, match="'drug9999' is not in the drugs of the model; nearest: 'drug"):
        model.predict(cells, asked.assign(drug="drug9999"))


def test_what_is_wrong_is_named(trained: DrugBERT, screen: Any) -> None:
    query, asked = screen.unseen, conditions(screen.unseen).iloc[:1]
    far = query.copy()
    far.obs["cell_line"] = far.obs["cell_line"].astype(str).replace("line1", "lime1")
    with pytest.raises(KeyError, match="'lime1' is not in the cell lines of the model; nearest: 'line1'"):
        trained.predict(far, asked.drop(columns="cell_line"))
    with pytest.raises(ValueError, match="'C1CC' at position 0 is not a valid SMILES"):
        trained.predict(query, asked.assign(smiles="C1CC"))
    with pytest.raises(ValueError, match=r".obs\['dose'\] must be a positive dose; found '0.0'"):
        trained.predict(query, asked.assign(dose=0.0))
    with pytest.raises(
        KeyError, match="'drug9999' is not in the drugs of the model; give its SMILES, or.*nearest: 'drug"
    ):
        trained.predict(query, asked.assign(drug="drug9999").drop(columns="smiles"))
    with pytest.raises(KeyError, match="dose_key='dose' is not in `conditions`"):
        trained.predict(query, asked.drop(columns="dose"))
    with pytest.raises(ValueError, match="has 5 of 60 genes that are needed"):
        trained.predict(query[:, :5].copy(), asked)
    with pytest.raises(KeyError, match="context_key='line' is not in .obs; nearest: 'cell_line'"):
        DrugBERT.setup_anndata(query, **(KEYS | {"context_key": "line"}))
    with pytest.raises(ValueError, match="`adata` is not set up; call `DrugBERT.setup_anndata"):
        DrugBERT(query.copy())
    DrugBERT.setup_anndata(screen.cells, **KEYS)
    model = DrugBERT(screen.cells, **SIZE)
    with pytest.raises(ValueError, match="has learned no responses; call `.fine_tune"):
        model.predict(query, asked)
    with pytest.raises(ValueError, match="`tasks` has 'class', which needs at least two classes of drugs: `class_key`"):
        model.pretrain(tasks=["class"], **LOCAL)
    with pytest.raises(ValueError, match="`tasks` must be 'all' or some of"):
        model.pretrain(tasks=["mask"], **LOCAL)
    with pytest.raises(ValueError, match="`mask_ratio` must lie between 0 and 1; found 1"):
        model.pretrain(mask_ratio=1, **LOCAL)
    few = screen.cells[screen.cells.obs["drug"].isin(["control", *asked_names(screen.cells, 2)])].copy()
    DrugBERT.setup_anndata(few, **KEYS)
    with pytest.raises(ValueError, match="has 2 drugs beside 'control'.*at least 3"):
        model.fine_tune(few, **LOCAL)
    twice = screen.cells.copy()
    twice.obs["smiles"] = twice.obs["smiles"].astype(str)
    row = np.flatnonzero(~twice.obs["is_control"])[0]
    twice.obs.iloc[row, twice.obs.columns.get_loc("smiles")] = "CCO"
    DrugBERT.setup_anndata(twice, **KEYS)
    with pytest.raises(ValueError, match="1 drugs have more than one SMILES: 'drug"):
        model.fine_tune(twice, **LOCAL)


@pytest.fixture(scope="module")
def with_interval(screen: Any) -> DrugBERT:
    DrugBERT.setup_anndata(screen.cells, **KEYS)
    model = DrugBERT(screen.cells, **SIZE)
    model.fine_tune(screen.cells, max_epochs=20, validation_size=0.25, **LOCAL)
    return model


def measured_changes(adata: ad.AnnData, asked: pd.DataFrame) -> np.ndarray:
    """Mean of the cells of each condition less that of the controls of their plates."""
    obs, rows = adata.obs, []
    for one in asked.itertuples():
        at = (obs["drug"] == one.drug) & (obs["cell_line"] == one.cell_line) & (obs["dose"] == one.dose)
        controls = obs["is_control"] & (obs["cell_line"] == one.cell_line) & obs["plate"].isin(obs["plate"][at])
        rows.append(np.asarray(adata[at].X.mean(axis=0) - adata[controls].X.mean(axis=0)).ravel())
    return np.stack(rows)


def test_intervals_hold_changes_of_drugs_never_seen(with_interval: DrugBERT, screen: Any, tmp_path: Path) -> None:
    asked = conditions(screen.unseen)
    asked = asked[~screen.drugs.loc[asked["drug"], "novel_mechanism"].to_numpy()]
    truth = measured_changes(screen.unseen, asked)
    width = {}
    for level in (0.6, 0.9):
        record = with_interval.predict(screen.unseen, asked, interval=level).uns["perturbation_predicted"]
        inside = np.abs(truth - record["change"]) <= record["half_width"]
        assert inside.mean() == pytest.approx(level, abs=0.08)
        assert record["coverage"] == pytest.approx(level, abs=0.08)
        assert record["interval"] == level
        width[level] = record["half_width"]
    assert (width[0.6] < width[0.9]).all()
    genes = screen.unseen[:, ::-2].copy()  # widths follow the names of genes
    record = with_interval.predict(genes, asked.iloc[:1]).uns["perturbation_predicted"]
    np.testing.assert_array_equal(record["half_width"][0], width[0.9][0][::-2])
    with_interval.save(tmp_path / "model")
    loaded = DrugBERT.load(tmp_path / "model").predict(screen.unseen, asked.iloc[:1])
    np.testing.assert_array_equal(loaded.uns["perturbation_predicted"]["half_width"][0], width[0.9][0])


def test_the_record_has_the_mean_change_of_the_line_and_the_dose(
    with_interval: DrugBERT, screen: Any, tmp_path: Path
) -> None:
    asked, learned = conditions(screen.unseen).iloc[:5], conditions(screen.cells)
    measured = measured_changes(screen.cells, learned)
    with_interval.save(tmp_path / "model")
    for model in (with_interval, DrugBERT.load(tmp_path / "model")):
        record = model.predict(screen.unseen, asked).uns["perturbation_predicted"]
        of_line = np.stack([measured[learned["cell_line"] == line].mean(axis=0) for line in record["context"]])
        np.testing.assert_allclose(record["mean_change"], of_line, atol=1e-5)
        np.testing.assert_array_equal(record["dose"], asked["dose"])


def test_half_widths_are_those_of_the_drugs_held_out(with_interval: DrugBERT, screen: Any) -> None:
    asked = conditions(screen.cells).iloc[:1].drop(columns="smiles")
    record = with_interval.predict(screen.unseen, asked, interval=0.6).uns["perturbation_predicted"]
    held_out = with_interval._residuals
    drugs = set(screen.cells.obs["drug"]) - {"control"}
    assert set(held_out.index) < drugs
    assert len(set(held_out.index)) == len(drugs) // 4
    assert record["n_held_out"] == len(held_out) == 6 * len(set(held_out.index))  # lines × doses
    rank = int(np.ceil(round((len(held_out) + 1) * 0.6, 9)))
    expected = np.sort(np.abs(held_out.to_numpy()), axis=0)[rank - 1]
    np.testing.assert_allclose(record["half_width"][0], expected)


def test_without_held_out_drugs_there_is_no_interval(trained: DrugBERT, screen: Any) -> None:
    asked = conditions(screen.unseen).iloc[:1]
    record = trained.predict(screen.unseen, asked).uns["perturbation_predicted"]
    assert np.isinf(record["half_width"]).all()
    assert np.isnan(record["coverage"])
    with pytest.raises(ValueError, match="`interval` must lie between 0 and 1, for example 0.9; found 90"):
        trained.predict(screen.unseen, asked, interval=90)


def asked_names(adata: ad.AnnData, n: int) -> list[str]:
    return sorted(set(adata.obs["drug"]) - {"control"})[:n]


def test_a_loaded_model_goes_on_with_a_screen_that_is_given(trained: DrugBERT, screen: Any, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    loaded = DrugBERT.load(tmp_path / "model")
    with pytest.raises(ValueError, match="a loaded model holds no screen"):
        loaded.pretrain(**LOCAL)
    DrugBERT.setup_anndata(screen.cells, **KEYS)
    query, asked = screen.unseen, conditions(screen.unseen).iloc[:2]
    for model in (trained_copy := DrugBERT.load(tmp_path / "model"), loaded):
        model.fine_tune(screen.cells, max_epochs=1, validation_size=0, **LOCAL)
    np.testing.assert_array_equal(changes(loaded, query, asked), changes(trained_copy, query, asked))
