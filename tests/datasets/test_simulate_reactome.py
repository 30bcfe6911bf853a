from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scgx
from scgx import pp
from scgx._core import registered_reactome, shared_conditions
from scgx.datasets import SimulatedReactomes, simulate_reactome

CALL = {"drug_key": "drug", "organ_key": "organ", "control": "control", "input_scale": "log2"}
DESIGN = ["vehicle", "time"]


@pytest.fixture(scope="module")
def simulated() -> SimulatedReactomes:
    return simulate_reactome(n_genes=200, n_organs=3, n_drugs=20, seed=1)


def measured(adata: ad.AnnData, **options: object) -> pd.DataFrame:
    """Reactome as genes × (drug, organ)."""
    out = pp.reactome(adata, **CALL, **options, copy=True)
    reactome = registered_reactome(out)
    columns = pd.MultiIndex.from_frame(reactome.conditions[["drug", "organ"]])
    return pd.DataFrame(reactome.values, index=out.var_names, columns=columns)


def correlations(query: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    both = [(frame - frame.mean(axis=1).to_numpy()[:, None]).to_numpy() for frame in (query, reference[query.columns])]
    unit = [frame / np.linalg.norm(frame, axis=1, keepdims=True) for frame in both]
    return pd.DataFrame(unit[0] @ unit[1].T, index=query.index, columns=reference.index)


def recall(simulated: SimulatedReactomes, k: int = 10) -> float:
    similar = correlations(*(measured(adata, design_keys=DESIGN) for adata in (simulated.query, simulated.reference)))
    rank = similar.rank(axis=1, ascending=False)
    pairs = simulated.functional_map
    ranks = pd.Series([rank.at[q, r] for q, r in zip(pairs["query"], pairs["reference"], strict=True)])
    best = ranks.groupby(pairs["query"].to_numpy()).min()
    return float((best <= k).mean())


def test_more_conditions_find_more_true_partners_where_orthologues_fail() -> None:
    found = [recall(simulate_reactome(400, *size, diverged=0.3)) for size in ((2, 5), (4, 25), (4, 250))]
    assert found[0] < found[1] < found[2]
    assert found[1] >= 0.8
    truth = simulate_reactome(400, diverged=0.3)
    right = truth.orthologs.merge(truth.functional_map)["query"].nunique()
    assert right == 400 - 120  # every diverged orthologue is wrong


def test_gene_lists(simulated: SimulatedReactomes) -> None:
    orthologs, functional = simulated.orthologs, simulated.functional_map
    genes = simulated.query.var_names, simulated.reference.var_names
    assert [len(names) for names in genes] == [200, 220]
    for table in (orthologs, functional):
        assert set(table["query"]) == set(genes[0])
        assert set(table["reference"]) == set(genes[1])
    kinds = orthologs.groupby("kind")["query"].nunique()
    assert kinds.to_dict() == {"diverged": 60, "one_to_many": 20, "one_to_one": 120}
    copies = orthologs.groupby("query")["reference"].transform("size")
    assert ((copies == 2) == (orthologs["kind"] == "one_to_many")).all()
    same = orthologs.merge(functional)
    assert set(same["kind"]) == {"one_to_one", "one_to_many"}
    assert not set(genes[0]) & set(genes[1])
    # neither the order nor the number of a name tells the partner
    number = same[["query", "reference"]].apply(lambda names: names.str[1:].astype(int))
    assert abs(number.corr().iloc[0, 1]) < 0.3


def test_true_partners_respond_alike_and_diverged_orthologues_do_not(simulated: SimulatedReactomes) -> None:
    similar = correlations(simulated.effects["query"], simulated.effects["reference"])

    def of(pairs: pd.DataFrame) -> np.ndarray:
        return np.array([similar.at[q, r] for q, r in zip(pairs["query"], pairs["reference"], strict=True)])

    assert np.median(of(simulated.functional_map)) > 0.9
    diverged = simulated.orthologs[simulated.orthologs["kind"] == "diverged"]
    assert abs(np.median(of(diverged))) < 0.2


def test_matched_controls_remove_vehicle_and_time() -> None:
    simulated = simulate_reactome(n_genes=150, n_drugs=30, confounding=2, noise=0.1, n_replicates=4, seed=2)
    truth = simulated.effects["query"]
    matched, pooled = (measured(simulated.query, **options)[truth.columns] for options in ({"design_keys": DESIGN}, {}))
    error = np.sqrt(((matched - truth) ** 2).to_numpy().mean())
    assert error == pytest.approx(0.1 * np.sqrt(1 / 4 + 1 / 4), rel=0.1)  # the noise of two means of four
    assert np.sqrt(((pooled - truth) ** 2).to_numpy().mean()) > 5 * error


def test_reliability_falls_with_noise() -> None:
    medians = []
    for noise in (0.1, 0.5, 2.0):
        query = simulate_reactome(n_genes=100, noise=noise, n_replicates=4).query
        pp.reactome(query, **CALL, design_keys=DESIGN)
        medians.append(query.var["reactome_reliability"].median())
    assert medians[0] > 0.95 > medians[1] > medians[2]


def held_out_skill(simulated: SimulatedReactomes, features: np.ndarray) -> float:
    """Cross-validated 1 - SSE / SSE(mean) of ridge regression from drug features to the true responses."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import cross_val_predict

    responses = simulated.effects["query"].T.unstack("organ").to_numpy()
    predicted = cross_val_predict(RidgeCV(np.logspace(-2, 4, 13)), features, responses, cv=5)
    means = cross_val_predict(RidgeCV(), np.zeros((len(features), 1)), responses, cv=5)
    return 1 - ((responses - predicted) ** 2).sum() / ((responses - means) ** 2).sum()


def test_chemistry_predicts_response_as_much_as_asked() -> None:
    drawn = {share: simulate_reactome(60, 2, 200, chemistry=share, seed=3) for share in (0.0, 0.8)}
    skill = {s: held_out_skill(sim, sim.query.uns["drug_features"]["features"]) for s, sim in drawn.items()}
    assert skill[0.0] < 0.05
    assert 0.5 < skill[0.8] <= 0.85
    shuffled = np.random.default_rng(0).permutation(drawn[0.8].query.uns["drug_features"]["features"])
    assert held_out_skill(drawn[0.8], shuffled) < 0.05


def test_drawn_structures_are_distinct_molecules_that_predict() -> None:
    pytest.importorskip("rdkit")
    from rdkit import Chem

    from scgx._core.molecules import morgan_fingerprints
    from scgx.datasets._drug_library import draw_drugs, n_drawable

    every, _ = draw_drugs(n_drawable(), np.random.default_rng(0))
    assert len({Chem.CanonSmiles(smiles) for smiles in every}) == len(every)
    simulated = simulate_reactome(60, 2, 200, seed=3)
    by_drug = (
        simulated.query.obs[~simulated.query.obs["is_control"]].drop_duplicates("drug").set_index("drug")["smiles"]
    )
    structures = by_drug.loc[simulated.query.uns["drug_features"]["drug"]]
    assert held_out_skill(simulated, morgan_fingerprints(structures)) > 0.4


def test_structures_of_the_caller() -> None:
    pytest.importorskip("rdkit")
    smiles = ["CCO", "CCCO", "CCCCO", "c1ccccc1", "Cc1ccccc1", "CCc1ccccc1"]
    simulated = simulate_reactome(50, 2, 6, smiles=smiles, chemistry=1.0, n_pathways=5)
    assert simulated.query.obs.loc[~simulated.query.obs["is_control"], "smiles"].unique().tolist() == smiles
    responses = simulated.effects["reference"].T.unstack("organ").to_numpy()
    features = simulated.query.uns["drug_features"]["features"]
    fitted = features @ np.linalg.lstsq(features - features.mean(0), responses - responses.mean(0), rcond=None)[0]
    np.testing.assert_allclose(fitted - fitted.mean(0), responses - responses.mean(0), atol=1e-4)
    with pytest.raises(ValueError, match="smiles has 6 structures, n_drugs=7"):
        simulate_reactome(50, 2, 7, smiles=smiles)


def test_equal_seeds_give_equal_data(simulated: SimulatedReactomes) -> None:
    again = simulate_reactome(n_genes=200, n_organs=3, n_drugs=20, seed=1)
    other = simulate_reactome(n_genes=200, n_organs=3, n_drugs=20, seed=2)
    np.testing.assert_array_equal(simulated.query.X, again.query.X)
    pd.testing.assert_frame_equal(simulated.functional_map, again.functional_map)
    assert not np.array_equal(simulated.query.X, other.query.X)


def test_samples_and_conditions(simulated: SimulatedReactomes, tmp_path: Path) -> None:
    for species, adata in (("query", simulated.query), ("reference", simulated.reference)):
        treated = adata.obs[~adata.obs["is_control"]]
        assert set(adata.obs["species"]) == {species}
        assert (treated.groupby(["drug", "organ"], observed=True).size() == 3).all()
        assert treated.groupby("drug", observed=True)[["vehicle", "time"]].nunique().eq(1).all(axis=None)
        controls = adata.obs[adata.obs["is_control"]].groupby(["organ", *DESIGN], observed=True).size()
        assert len(controls) == 3 * 2 * 2
        assert set(controls) == {3}
        assert adata.X.dtype == np.float32
        adata.write_h5ad(tmp_path / f"{species}.h5ad")
    reactomes = [registered_reactome(pp.reactome(a, **CALL, copy=True)) for a in (simulated.query, simulated.reference)]
    assert len(shared_conditions(*reactomes)[0]) == 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_genes": 5}, "n_genes=5, expected at least 10"),
        ({"n_times": 9}, "n_times=9, expected at least 1 and at most 6"),
        ({"n_drugs": 5000}, "n_drugs=5000, expected at most .* without smiles="),
        ({"diverged": 1.2}, r"diverged=1.2, expected a fraction in \[0, 1\]"),
        ({"diverged": 0.7, "one_to_many": 0.5}, "together are more than all genes"),
        ({"noise": -1}, "noise=-1, expected 0 or more"),
    ],
)
def test_arguments_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scgx.datasets.simulate_reactome(**options)
