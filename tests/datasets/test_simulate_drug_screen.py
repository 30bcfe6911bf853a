from __future__ import annotations

from itertools import product
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scgx import datasets
from scgx.datasets import SimulatedDrugScreen, simulate_drug_screen

pytest.importorskip("rdkit")

SMALL = {"n_drugs": 20, "n_bulk_drugs": 30, "n_unseen": 8, "n_lines": 2, "n_genes": 60, "n_mechanisms": 6}
CONDITION = ["drug", "cell_line", "dose"]


@pytest.fixture(scope="module")
def screen() -> SimulatedDrugScreen:
    return simulate_drug_screen(n_lines=2, n_cells=10)


def fingerprints(smiles: pd.Series) -> list:
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return [generator.GetFingerprint(Chem.MolFromSmiles(one)) for one in smiles]


def similarities(smiles: pd.Series) -> np.ndarray:
    from rdkit import DataStructs

    bits = fingerprints(smiles)
    return np.array([DataStructs.BulkTanimotoSimilarity(one, bits) for one in bits])


def responses(adata: ad.AnnData) -> pd.DataFrame:
    """Mean of each condition less the mean of the controls of its plate, conditions × genes."""
    values, obs = adata.to_df(), adata.obs.astype({"drug": str, "cell_line": str, "plate": str})
    control = values[obs["is_control"]].groupby(obs["plate"]).mean()
    treated = ~obs["is_control"]
    delta = values[treated] - control.loc[obs.loc[treated, "plate"]].to_numpy()
    return delta.groupby([obs.loc[treated, name] for name in CONDITION]).mean()


def test_wells_show_the_true_change_once_matched_to_their_plate() -> None:
    screen = simulate_drug_screen(**SMALL, n_replicates=4, n_controls=4, plate_noise=2.0, noise=0.2, seed=1)
    found = responses(screen.bulk)
    truth = screen.effects["bulk"].loc[found.index]
    assert set(found.index.get_level_values("drug")) == set(screen.drugs.index[screen.drugs["in_bulk"]])
    error = np.sqrt(((found - truth) ** 2).to_numpy().mean())
    assert error == pytest.approx(0.2 * np.sqrt(1 / 4 + 1 / 16), rel=0.1)  # each replicate on a plate of its own


def test_cells_show_the_true_change() -> None:
    screen = simulate_drug_screen(
        6, 1, 300, n_bulk_drugs=30, n_unseen=4, n_mechanisms=4, doses=[10], n_cells=500, n_plates=1, plate_noise=0
    )
    for adata in (screen.cells, screen.unseen):
        found = responses(adata)
        truth = screen.effects["cells"].loc[found.index]
        error = adata.to_df().groupby(adata.obs["drug"].astype(str)).sem()
        of_drug = error.loc[found.index.get_level_values("drug")].to_numpy()
        z = (found - truth).to_numpy() / np.maximum(np.hypot(of_drug, error.loc["control"].to_numpy()), 1e-3)
        assert 0.9 < z.std() < 1.15
        assert truth.abs().to_numpy().mean() < screen.effects["bulk"].loc[found.index].abs().to_numpy().mean()


def test_who_was_measured_where(screen: SimulatedDrugScreen, tmp_path: Path) -> None:
    drugs = screen.drugs
    assert drugs[["in_bulk", "in_cells", "novel_mechanism"]].sum().to_dict() == {
        "in_bulk": 180,
        "in_cells": 40,
        "novel_mechanism": 10,
    }
    assert not (drugs["in_cells"] & ~drugs["in_bulk"]).any()
    assert not set(drugs.loc[drugs["novel_mechanism"], "mechanism"]) & set(drugs.loc[drugs["in_bulk"], "mechanism"])
    parts = {"bulk": drugs["in_bulk"], "cells": drugs["in_cells"], "unseen": ~drugs["in_bulk"]}
    for name, chosen in parts.items():
        adata = getattr(screen, name)
        treated = adata.obs[~adata.obs["is_control"]]
        assert set(treated["drug"]) == set(drugs.index[chosen])
        per_condition = treated.groupby(CONDITION, observed=True).size()
        assert len(per_condition) == chosen.sum() * 2 * 3
        assert set(per_condition) == {2 if name == "bulk" else 10}
        known = drugs.loc[treated["drug"].astype(str)]
        assert (treated["smiles"].astype(str).to_numpy() == known["smiles"].to_numpy()).all()
        assert (treated["mechanism"].astype(str).to_numpy() == known["mechanism"].to_numpy()).all()
        controls = adata.obs[adata.obs["is_control"]]
        assert set(controls["drug"]) == {"control"}
        assert set(controls["smiles"]) == set(controls["mechanism"]) == {""}
        assert set(controls["dose"]) == {0.0}
        assert set(controls["plate"]) == set(adata.obs["plate"])
        assert adata.obs.groupby("plate", observed=True)["cell_line"].nunique().eq(1).all()
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    assert not set(screen.unseen.obs["plate"]) & set(screen.cells.obs["plate"])
    assert len(screen.effects["bulk"]) == len(screen.effects["cells"]) == 200 * 2 * 3


def test_cells_are_sparse_counts(screen: SimulatedDrugScreen) -> None:
    cells = screen.cells
    counts = cells.layers["counts"]
    assert cells.X.format == counts.format == "csr"
    assert cells.X.dtype == counts.dtype == np.float32
    assert 0.5 < 1 - counts.nnz / np.prod(cells.shape) < 0.75
    assert not (counts.data % 1).any()
    total = counts.toarray().sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cells.X.toarray(), np.log1p(counts.toarray() / total * cells.n_vars), rtol=1e-5)
    control = counts[cells.obs["is_control"].to_numpy()].toarray()
    assert np.median(control.var(axis=0) / control.mean(axis=0)) > 1.1  # more than Poisson


def test_dose_changes_the_size_and_not_the_direction(screen: SimulatedDrugScreen) -> None:
    by_dose = screen.effects["bulk"].unstack("dose").swaplevel(axis=1)
    low, middle, high = (by_dose[dose].to_numpy() for dose in (0.1, 1.0, 10.0))
    sizes = [np.linalg.norm(effect, axis=1) for effect in (low, middle, high)]
    assert (sizes[0] < sizes[1]).all()
    assert (sizes[1] < sizes[2]).all()
    np.testing.assert_allclose(low / sizes[0][:, None], high / sizes[2][:, None], atol=1e-9)


def test_shared_plates_inflate_agreement_between_unrelated_drugs() -> None:
    screen = simulate_drug_screen(**SMALL, n_plates=4, n_replicates=1, n_controls=2, plate_noise=0.5, seed=3)
    bulk = screen.bulk[~screen.bulk.obs["is_control"] & (screen.bulk.obs["cell_line"] == "line0")]
    truth = screen.effects["bulk"].loc[pd.MultiIndex.from_frame(bulk.obs[CONDITION].astype({"drug": str}))]
    noise = bulk.X - truth.to_numpy()
    noise = noise - noise.mean(axis=0)
    similar = np.corrcoef(noise)
    plate, drug = bulk.obs["plate"].to_numpy(), bulk.obs["drug"].to_numpy()
    same = plate[:, None] == plate
    other_drug = drug[:, None] != drug
    assert similar[same & other_drug].mean() > 0.5
    assert similar[~same & other_drug].mean() < 0.0


def test_novel_mechanisms_look_unlike_the_rest(screen: SimulatedDrugScreen) -> None:
    check_novelty(screen.drugs)


def check_novelty(drugs: pd.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    seen = drugs["in_bulk"].to_numpy()
    nearest = similarities(drugs["smiles"])[~seen][:, seen].max(axis=1)
    assert roc_auc_score(drugs["novel_mechanism"][~seen], -nearest) > 0.95
    novel = drugs["novel_mechanism"]
    assert not set(drugs.loc[novel, "scaffold"]) & set(drugs.loc[~novel, "scaffold"])


def held_out_pearson(screen: SimulatedDrugScreen, smiles: pd.Series) -> pd.Series:
    """Pearson of true responses and those of kernel ridge on structures, by drugs of no screen."""
    from sklearn.kernel_ridge import KernelRidge

    drugs, kernel = screen.drugs, similarities(smiles)
    response = screen.effects["cells"].xs(10.0, level="dose").unstack("cell_line").loc[drugs.index].to_numpy()
    seen = drugs["in_bulk"].to_numpy()
    mean = response[seen].mean(axis=0)
    model = KernelRidge(alpha=0.1, kernel="precomputed").fit(kernel[np.ix_(seen, seen)], response[seen] - mean)
    predicted = mean + model.predict(kernel[np.ix_(~seen, seen)])
    pearson = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted, response[~seen], strict=True)]
    return pd.Series(pearson, index=drugs.index[~seen])


def test_structure_predicts_unseen_drugs_of_known_mechanisms_alone(screen: SimulatedDrugScreen) -> None:
    novel = screen.drugs["novel_mechanism"]
    pearson = held_out_pearson(screen, screen.drugs["smiles"])
    assert pearson[~novel[pearson.index]].mean() > 0.7
    assert pearson[novel[pearson.index]].mean() < 0.3
    shuffled = screen.drugs["smiles"].sample(frac=1, random_state=0)
    assert held_out_pearson(screen, shuffled)[~novel[pearson.index]].mean() < 0.5


def test_chemistry_is_the_share_of_drugs_that_act_as_they_look() -> None:
    for share in (0.0, 0.6, 1.0):
        drugs = simulate_drug_screen(**SMALL, chemistry=share, n_cells=1).drugs
        as_it_looks = drugs["mechanism"] == drugs["structural_class"]
        assert as_it_looks[drugs["novel_mechanism"]].all()
        known = ~drugs["novel_mechanism"]
        assert as_it_looks[known].mean() == pytest.approx(share, abs=1 / known.sum())
        of_unseen = known & ~drugs["in_bulk"]
        assert as_it_looks[of_unseen].mean() == pytest.approx(share, abs=1 / of_unseen.sum())


def test_equal_seeds_give_equal_data(unchanged_rng: None) -> None:
    first, again, other = (simulate_drug_screen(**SMALL, n_cells=2, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.drugs, again.drugs)
    for part in ("bulk", "cells", "unseen"):
        pd.testing.assert_frame_equal(getattr(first, part).to_df(), getattr(again, part).to_df())
        pd.testing.assert_frame_equal(getattr(first, part).obs, getattr(again, part).obs)
    assert not np.array_equal(first.bulk.X, other.bulk.X)


def molecules_of_four_kinds() -> list[str]:
    kinds = (
        "O=C(N{})c1ccc2[nH]c({})cc2c1",
        "C1CCC2C(C1)CCC1C2CC({})C1{}",
        "O=S(=O)(N{})c1csc({})c1",
        "O=c1[nH]c(=O)n({})c2nc({})ncc12",
    )
    ends = ("C", "CC", "CCC", "CO", "CCO", "CF", "CCl", "C#N")
    return [kind.format(a, b) for kind, a, b in product(kinds, ends, ends)]


def test_structures_of_the_caller_fall_into_their_kinds() -> None:
    from rdkit import Chem

    smiles = molecules_of_four_kinds()
    options = {"n_drugs": 12, "n_bulk_drugs": 20, "n_unseen": 8, "n_mechanisms": 4, "novel_mechanisms": 1, "n_cells": 1}
    drugs = simulate_drug_screen(**options, smiles=smiles).drugs
    assert set(drugs["smiles"]) <= set(smiles)
    kind = drugs["smiles"].map({one: i // 64 for i, one in enumerate(smiles)})
    assert (pd.crosstab(kind, drugs["structural_class"]) > 0).to_numpy().sum() == 4  # one class a kind
    assert drugs["smiles"].is_unique
    twice = [*smiles, *map(Chem.CanonSmiles, smiles)]
    again = simulate_drug_screen(**options, smiles=twice).drugs["smiles"]
    assert again.map(Chem.CanonSmiles).is_unique


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        pytest.param([*molecules_of_four_kinds(), "C1CC"], "'C1CC' at position 256 is not a valid SMILES", id="smiles"),
        pytest.param(molecules_of_four_kinds()[:150], "150 different structures fill .* pass more smiles", id="few"),
    ],
)
def test_structures_that_do_not_do(smiles: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_drug_screen(smiles=smiles)


@pytest.mark.realdata
def test_real_scaffolds() -> None:
    table = datasets.load("lincs_smiles")["brd_smiles"]
    screen = simulate_drug_screen(n_lines=1, n_cells=5, smiles=table["smiles"].to_list())
    assert set(screen.drugs["smiles"]) <= set(table["smiles"])
    check_novelty(screen.drugs)
    pearson = held_out_pearson(screen, screen.drugs["smiles"])
    known = ~screen.drugs["novel_mechanism"][pearson.index]
    assert pearson[known].mean() > 0.7
    assert pearson[~known].mean() < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_genes": 5}, "n_genes=5, expected at least 10"),
        ({"n_unseen": 60}, "n_unseen=60, expected at least 0 and fewer than n_drugs=60"),
        ({"novel_mechanisms": 8}, "novel_mechanisms=8, expected at least 0 and fewer than n_mechanisms=8"),
        ({"n_unseen": 2}, "novel_mechanisms=2, expected at most half of n_unseen=2"),
        ({"doses": (0, 1)}, "doses=.*, expected different positive numbers"),
        ({"chemistry": 1.5}, r"chemistry=1.5, expected a fraction in \[0, 1\]"),
        ({"plate_noise": -1}, "plate_noise=-1, expected 0 or more"),
        ({"n_mechanisms": 20}, "fill 10 known mechanisms .* expected 18 .* pass more smiles"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate_drug_screen(**options)


def test_no_unseen_drugs() -> None:
    screen = simulate_drug_screen(**{**SMALL, "n_unseen": 0}, novel_mechanisms=0, n_cells=1)
    assert screen.drugs["in_bulk"].all()
    assert screen.unseen.obs["is_control"].all()
