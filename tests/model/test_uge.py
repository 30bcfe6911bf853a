from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

import scgx
from scgx.model import UGE

SIZES = {"width": 16, "n_layers": 1, "n_heads": 2, "n_tokens": 24}
FIT = {"accelerator": "cpu", "progress": False, "batch_size": 8}
N_GENES, COPIES = 60, 4


def make_model(
    parts: dict[str, ad.AnnData], orthologs: pd.DataFrame | None, epochs: int = 40, **options: object
) -> UGE:
    mdata = MuData(parts)
    UGE.setup_mudata(mdata, orthologs=orthologs)
    model = UGE(mdata, **SIZES, **options)
    model.train(epochs, lr=3e-3, **FIT)
    return model


@pytest.fixture(scope="module")
def pretrained(species: tuple) -> UGE:
    """On 50 genes of 60, all of them tied."""
    parts, table = species
    genes = table.iloc[:50]
    return make_model({name: part[:, part.var_names.isin(genes[name])].copy() for name, part in parts.items()}, genes)


@pytest.fixture(scope="module")
def trained(pretrained: UGE, species: tuple, tmp_path_factory: pytest.TempPathFactory) -> UGE:
    """And fine-tuned on the organs of mouse."""
    parts, folder = species[0], tmp_path_factory.mktemp("pretrained")
    pretrained.save(folder)
    model = UGE.load(folder)
    model.fine_tune({"mouse": parts["mouse"]}, label_key="organ", max_epochs=40, lr=3e-3, **FIT)
    return model


@pytest.mark.usefixtures("unchanged_rng")
def test_organs_of_the_other_species_are_recognised(trained: UGE, species: tuple) -> None:
    rat = species[0]["rat"]
    assert (trained.predict_labels(rat, species="rat") == rat.obs["organ"]).mean() >= 0.9
    probability = trained.predict_probabilities(rat, species="rat")
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)


def test_without_orthologues_anchors_align_rows(species: tuple) -> None:
    """Nothing ties genes: labels of three organs known in both species draw those rows together."""
    parts = {name: part.copy() for name, part in species[0].items()}
    for part in parts.values():
        part.obs["known"] = part.obs["organ"].where(part.obs["organ"].isin(["organ0", "organ1", "organ2"]))
    mdata = MuData(parts)
    UGE.setup_mudata(mdata, anchor_key="known")
    model = UGE(mdata, **SIZES, ecs_weight=3.0)
    model.train(30, lr=3e-3, early_stopping=False, **FIT)
    z = {name: model.get_latent_representation(part, species=name) for name, part in parts.items()}
    unit = {name: values / np.linalg.norm(values, axis=1, keepdims=True) for name, values in z.items()}
    cosine = unit["rat"][: 3 * COPIES] @ unit["mouse"][: 3 * COPIES].T
    same = np.kron(np.eye(3), np.ones((COPIES, COPIES))).astype(bool)
    assert cosine[same].mean() > cosine[~same].mean() + 0.4


def test_genes_are_found_by_name(trained: UGE, species: tuple) -> None:
    rat = species[0]["rat"]
    turned = rat[:, np.random.default_rng(3).permutation(rat.n_vars)].copy()
    expected = trained.get_latent_representation(rat, species="rat")
    np.testing.assert_allclose(trained.get_latent_representation(turned, species="rat"), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"24 of 50 genes.*at least 50%"):
        trained.get_latent_representation(rat[:, trained.genes["rat"][:24]], species="rat")


def test_a_missing_gene_is_a_gap(trained: UGE, species: tuple) -> None:
    mouse, genes = species[0]["mouse"], trained.genes["mouse"]
    gap = mouse[:, genes].copy()
    gap.X[:, :10] = np.nan
    expected = trained.get_latent_representation(mouse[:, genes[10:]], species="mouse")
    np.testing.assert_allclose(trained.get_latent_representation(gap, species="mouse"), expected, atol=1e-5)


def test_recentring_removes_a_shift_of_the_study(trained: UGE, species: tuple) -> None:
    rat = species[0]["rat"]
    shifted = rat.copy()
    shifted.X += np.random.default_rng(0).normal(0, 2, size=rat.n_vars).astype(np.float32)
    expected = trained.get_latent_representation(rat, species="rat", recenter=True)
    np.testing.assert_allclose(
        trained.get_latent_representation(shifted, species="rat", recenter=True), expected, atol=1e-3
    )


def test_tied_orthologues_share_an_embedding(trained: UGE, species: tuple) -> None:
    table = species[1]
    mouse = trained.get_gene_embeddings(table["mouse"][:50], species="mouse")
    np.testing.assert_array_equal(mouse, trained.get_gene_embeddings(table["rat"][:50], species="rat"))
    assert mouse.shape == (50, 16)
    with pytest.raises(KeyError, match=r"1 of 2 names are no genes of 'rat'.*'mouse_1'.*add_genes"):
        trained.get_gene_embeddings(["rat_1", "mouse_1"], species="rat")


def test_genes_are_mapped_by_their_embeddings(trained: UGE, species: tuple) -> None:
    parts, table = species
    rat, mouse = (parts[name][:, trained.genes[name]].copy() for name in ("rat", "mouse"))
    scgx.tl.map_genes(rat, mouse, method="uge", model=trained, k=1, n_permutations=0)
    nearest = pd.Series(mouse.var_names[rat.varm["gene_map"].toarray().argmax(1)], index=rat.var_names)
    tied = table.set_index("rat")["mouse"].iloc[:50]
    assert (nearest[tied.index] == tied).all()
    with pytest.raises(ValueError, match=r"do not tell the species.*give `species`"):
        trained.get_gene_embeddings(["unheard of"])


def test_untied_genes_lie_near_their_orthologue(species: tuple) -> None:
    """Half of the orthologues are tied; the others find their partner better than by chance (rank 15 of 30)."""
    parts, table = species
    model = make_model(parts, table.iloc[:30], epochs=5)
    embedded = [model.get_gene_embeddings(table[name][30:], species=name) for name in ("rat", "mouse")]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in embedded]
    similarity = unit[0] @ unit[1].T
    rank = (similarity > np.diag(similarity)[:, None]).sum(1)
    assert np.median(rank) <= 3


def test_added_genes_do_not_change_old_ones(trained: UGE, species: tuple, tmp_path: Path) -> None:
    (parts, table), old = species, trained.genes["rat"]
    trained.save(tmp_path)
    model = UGE.load(tmp_path)
    rat = parts["rat"]
    before = trained.get_latent_representation(rat[:, old], species="rat")
    model.add_genes(parts["mouse"], species="mouse")
    model.add_genes(rat, ["rat_51", "rat_55"], species="rat", orthologs=table)
    np.testing.assert_allclose(model.get_latent_representation(rat[:, old], species="rat"), before, atol=1e-6)
    np.testing.assert_array_equal(
        model.get_gene_embeddings(old, species="rat"), trained.get_gene_embeddings(species="rat")
    )
    np.testing.assert_array_equal(
        model.get_gene_embeddings(["rat_51", "rat_55"], species="rat"),
        model.get_gene_embeddings(["mouse_51", "mouse_55"], species="mouse"),
    )
    assert np.abs(model.get_latent_representation(rat, species="rat") - before).max() > 1e-3  # and they are read
    with pytest.raises(ValueError, match=r"genes of `adata` that the model lacks in 'rat'; found 1 names.*1 known"):
        model.add_genes(rat, ["rat_51"], species="rat")


def test_an_added_gene_without_orthologue_starts_from_its_nearest(trained: UGE, species: tuple, tmp_path: Path) -> None:
    trained.save(tmp_path)
    model = UGE.load(tmp_path)
    mouse = species[0]["mouse"].copy()
    twin = ad.AnnData(2 * mouse[:, ["mouse_7"]].X + 1, obs=mouse.obs, var=pd.DataFrame(index=["twin"]))
    model.add_genes(ad.concat([mouse, twin], axis=1), ["twin"], species="mouse", n_neighbors=1)
    np.testing.assert_array_equal(
        model.get_gene_embeddings(["twin"], species="mouse"), model.get_gene_embeddings(["mouse_7"], species="mouse")
    )


def test_save_and_load(trained: UGE, species: tuple, tmp_path: Path) -> None:
    parts = species[0]
    trained.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    loaded = UGE.load(tmp_path)
    for name, part in parts.items():
        expected = trained.predict_probabilities(part, species=name)
        pd.testing.assert_frame_equal(loaded.predict_probabilities(part, species=name), expected)
    with pytest.raises(ValueError, match="a loaded model holds no rows to train on"):
        loaded.train()
    loaded.fine_tune({"rat": parts["rat"]}, value_key="age", max_epochs=1, **FIT)  # but it can be fine-tuned


def test_fine_tuning_a_frozen_model_changes_the_head_only(trained: UGE, species: tuple, tmp_path: Path) -> None:
    trained.save(tmp_path)
    model, rat = UGE.load(tmp_path), species[0]["rat"]
    before = model.get_latent_representation(rat, species="rat")
    few = rat[::COPIES].copy()  # a row an organ
    model.fine_tune({"rat": few}, label_key="organ", freeze=True, max_epochs=60, lr=0.03, **FIT)
    np.testing.assert_array_equal(model.get_latent_representation(rat, species="rat"), before)
    assert (model.predict_labels(rat, species="rat") == rat.obs["organ"]).mean() >= 0.9


def test_regression(trained: UGE, species: tuple, tmp_path: Path) -> None:
    """A number that one gene gives exactly, mouse to itself; rows without it are left out."""
    trained.save(tmp_path)
    model, mouse = UGE.load(tmp_path), species[0]["mouse"].copy()
    mouse.obs.loc[mouse.obs_names[:2], "age"] = np.nan
    model.fine_tune({"mouse": mouse}, value_key="age", max_epochs=30, lr=3e-3, **FIT)
    predicted = model.predict_values(mouse, species="mouse").to_numpy()[2:]
    assert np.corrcoef(predicted, mouse.obs["age"][2:])[0, 1] > 0.8
    with pytest.raises(ValueError, match="not fine-tuned with `label_key`"):
        model.predict_labels(mouse, species="mouse")


def test_no_difference_between_treated_and_control_is_no_response(trained: UGE, species: tuple) -> None:
    parts = species[0]
    mouse, rat = parts["mouse"], parts["rat"]
    none = trained.transfer_response(mouse, mouse, rat, source="mouse", species="rat")
    assert none.shape == (rat.n_obs, 50)
    np.testing.assert_allclose(none, 0, atol=1e-5)


def test_latent_arithmetic_carries_a_difference_between_organs(pretrained: UGE, species: tuple) -> None:
    """organ1 − organ0 of mouse as the treatment, rat's organ0 as the query: the answer is rat's own difference."""
    parts = species[0]
    of = {name: {o: part[part.obs["organ"] == o].copy() for o in ("organ0", "organ1")} for name, part in parts.items()}
    response = pretrained.transfer_response(
        of["mouse"]["organ1"], of["mouse"]["organ0"], of["rat"]["organ0"], source="mouse", species="rat"
    )
    genes = response.columns
    truth = of["rat"]["organ1"][:, genes].X.mean(0) - of["rat"]["organ0"][:, genes].X.mean(0)
    assert np.corrcoef(response.mean(), truth)[0, 1] > 0.5


def test_modalities_beside_rna_are_tokens(species: tuple) -> None:
    parts = species[0]
    rat = parts["rat"].copy()
    rat.layers["half"] = rat.X / 2
    protein = ad.AnnData(rat.X[:10, :5] * 2, obs=pd.DataFrame(index=rat.obs_names[:10]))
    protein.var_names = ["CD3", "CD4", "CD8", "CD19", "rat_1"]
    mouse = parts["mouse"].copy()
    mouse.layers["half"] = mouse.X / 2
    mdata = MuData({"mouse": mouse, "rat": rat, "protein": protein})
    UGE.setup_mudata(mdata, species={"mouse": "mouse", "rat": ["rat", "protein"]}, layer="half")
    model = UGE(mdata, **SIZES)
    assert model.genes["rat"][-5:].tolist() == [f"protein:{name}" for name in protein.var_names]
    model.train(1, **FIT)
    assert model.get_gene_embeddings(["protein:CD3"], species="rat").shape == (1, 16)


def test_one_anndata_with_a_species_column(species: tuple) -> None:
    parts = species[0]
    rat = parts["rat"][:, [f"rat_{i}" for i in range(N_GENES)]].copy()
    rat.var_names = parts["mouse"].var_names
    joined = ad.concat({"mouse": parts["mouse"], "rat": rat}, label="organism")
    joined.X[(joined.obs["organism"] == "rat").to_numpy(), :5] = np.nan
    joined.layers["target"] = (joined.X > 8).astype(np.float32)
    UGE.setup_anndata(joined, species_key="organism", external_layer="target")
    model = UGE(joined, **SIZES)
    assert [len(model.genes[name]) for name in ("mouse", "rat")] == [N_GENES, N_GENES - 5]
    model.train(1, **FIT)
    mouse = joined[joined.obs["organism"] == "mouse"].copy()
    z = model.get_latent_representation(mouse, species="mouse")
    mouse.layers["target"][:] = 0
    assert np.abs(model.get_latent_representation(mouse, species="mouse") - z).max() > 1e-4  # external tokens are read
    assert not joined.uns


@pytest.mark.usefixtures("unchanged_rng")
def test_generators_and_the_users_object_are_left_alone(species: tuple) -> None:
    parts, table = species
    mdata = MuData({name: part.copy() for name, part in parts.items()})
    state = torch.get_rng_state()
    UGE.setup_mudata(mdata, orthologs=table)
    runs = []
    for seed in (0, 0, 1):
        model = UGE(mdata, **SIZES, seed=seed)
        model.train(1, seed=seed, **FIT)
        runs.append(model.get_latent_representation(parts["rat"], species="rat"))
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3
    for name, part in parts.items():
        assert not mdata[name].uns
        np.testing.assert_array_equal(mdata[name].X, part.X)


def test_error_messages(species: tuple, trained: UGE) -> None:
    parts = species[0]
    mdata = MuData({name: part.copy() for name, part in parts.items()})
    with pytest.raises(ValueError, match=r"not set up; call `UGE.setup_mudata`"):
        UGE(mdata)
    with pytest.raises(KeyError, match=r"species='rta' is not in .mod; nearest: 'rat'"):
        UGE.setup_mudata(mdata, species={"mouse": "mouse", "rat": "rta"})
    with pytest.raises(KeyError, match=r"group_key='organs'.*nearest: 'organ'"):
        UGE.setup_mudata(mdata, group_key="organs")
    with pytest.raises(ValueError, match="at least 2 species are needed; found 1: mouse"):
        UGE.setup_mudata(mdata, species={"mouse": "mouse"})
    with pytest.raises(ValueError, match="species 'rat' has 2 rows; at least 3"):
        UGE.setup_mudata(MuData({"mouse": parts["mouse"], "rat": parts["rat"][:2].copy()}))
    UGE.setup_mudata(mdata)
    model = UGE(mdata, **SIZES)
    with pytest.raises(ValueError, match="this UGE is not trained"):
        model.get_latent_representation(parts["rat"], species="rat")
    with pytest.raises(KeyError, match=r"species='pig' is not in the model's species"):
        trained.get_latent_representation(parts["rat"], species="pig")
    for keys in ({}, {"label_key": "organ", "value_key": "age"}):
        with pytest.raises(ValueError, match="exactly one of `label_key` and `value_key`"):
            trained.fine_tune({"mouse": parts["mouse"]}, **keys)
    with pytest.raises(ValueError, match="one class only, 'organ0'"):
        trained.fine_tune({"mouse": parts["mouse"][:COPIES]}, label_key="organ")


def test_configurations_are_arguments_of_the_class(species: tuple) -> None:
    mdata = MuData({name: part.copy() for name, part in species[0].items()})
    UGE.setup_mudata(mdata)
    assert UGE(mdata).module.network.config == UGE(mdata, **UGE.small_config()).module.network.config
    paper = UGE.paper_config()
    assert (paper["width"], paper["n_layers"], paper["n_heads"]) == (256, 4, 8)
