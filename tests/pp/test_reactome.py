from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scgx
from scgx import pp
from scgx._core import registered_reactome

Hold = Callable[[ad.AnnData], ad.AnnData]
CALL = {"drug_key": "compound", "organ_key": "tissue", "control": "DMSO"}
MATCHED = {**CALL, "design_keys": ["day", "dose"], "input_scale": "log2"}


@pytest.fixture
def screen() -> ad.AnnData:
    """Three drugs and controls in two organs on two days, shuffled; the dose of a control is 0; one gene has gaps."""
    rng = np.random.default_rng(0)
    rows = [
        (organ, day, drug, 0.0 if drug == "DMSO" else dose)
        for organ in ("liver", "heart")
        for day in (1, 3)
        for drug, dose in (("DMSO", 0.0), ("aspirin", 10.0), ("caffeine", 5.0), ("caffeine", 50.0))
        for _ in range(4)
        if (organ, drug) != ("heart", "aspirin")
    ]
    obs = pd.DataFrame(rows, columns=["tissue", "day", "compound", "dose"]).sample(frac=1, random_state=1)
    obs.index = [f"s{i:03d}" for i in rng.permutation(len(obs))]
    obs["compound"] = pd.Categorical(obs["compound"], categories=["caffeine", "unused", "DMSO", "aspirin"])
    X = rng.normal(8, 2, (len(obs), 7)).astype(np.float32)
    X[rng.random(len(obs)) < 0.3, 3] = np.nan
    X[(obs["tissue"] == "heart").to_numpy(), 5] = np.nan
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(7)]))


def by_pandas(adata: ad.AnnData, keys: list[str], matched: list[str], norm: str) -> pd.DataFrame:
    """Conditions × genes by groupby alone."""
    X = pd.DataFrame(adata.X.astype(float), index=adata.obs_names)
    is_control = adata.obs["compound"] == "DMSO"
    control = X[is_control].groupby([adata.obs.loc[is_control, key] for key in matched]).mean()
    responses = []
    for name in adata.obs_names[~is_control]:
        values = tuple(adata.obs.loc[name, matched])
        responses.append(X.loc[name] - control.loc[values if len(values) > 1 else values[0]])
    frame = pd.DataFrame(responses, index=adata.obs_names[~is_control])
    frame = frame.abs() if norm == "l1" else frame
    treated = adata.obs[~is_control].astype({"compound": str})
    return frame.groupby([treated[key] for key in keys]).mean()


@pytest.mark.parametrize("norm", ["signed", "l1"])
def test_mean_response_over_matched_controls(screen: ad.AnnData, norm: str) -> None:
    pp.reactome(screen, **MATCHED, norm=norm)
    expected = by_pandas(screen, ["compound", "tissue", "day", "dose"], ["tissue", "day"], norm)
    reactome = registered_reactome(screen)
    conditions = reactome.conditions[["drug", "organ", "day", "dose"]]
    assert list(conditions.itertuples(index=False, name=None)) == list(expected.index)
    np.testing.assert_allclose(reactome.values.T, expected.to_numpy(), rtol=1e-5, atol=1e-5)
    assert list(reactome.record["matched_on"]) == ["tissue", "day"]  # no control has a dose
    np.testing.assert_array_equal(reactome.record["n_samples"], 4)


def test_without_design_all_controls_of_the_organ_count(screen: ad.AnnData) -> None:
    pp.reactome(screen, **CALL, input_scale="log2")
    expected = by_pandas(screen, ["compound", "tissue"], ["tissue"], "signed")
    np.testing.assert_allclose(screen.varm["reactome"].T, expected.to_numpy(), rtol=1e-5, atol=1e-5)
    assert list(screen.uns["reactome"]["conditions"]["drug"]) == [drug for drug, _ in expected.index]


def test_what_was_not_measured_is_nan(screen: ad.AnnData) -> None:
    pp.reactome(screen, **CALL, input_scale="log2")
    in_heart = screen.uns["reactome"]["conditions"]["organ"] == "heart"
    assert np.isnan(screen.varm["reactome"][5, in_heart]).all()
    assert np.isfinite(screen.varm["reactome"][:, ~in_heart]).all()


def test_rows_and_genes_may_come_in_any_order(screen: ad.AnnData) -> None:
    rng = np.random.default_rng(5)
    shuffled = screen[rng.permutation(screen.n_obs), rng.permutation(screen.n_vars)].copy()
    for adata in (screen, shuffled):
        pp.reactome(adata, **MATCHED, norm="l1", seed=3)
    back = shuffled[:, screen.var_names]
    np.testing.assert_allclose(back.varm["reactome"], screen.varm["reactome"], rtol=1e-6)
    np.testing.assert_allclose(back.var["reactome_reliability"], screen.var["reactome_reliability"], rtol=1e-4)
    pd.testing.assert_frame_equal(registered_reactome(back).conditions, registered_reactome(screen).conditions)


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_every_holder_gives_the_same(screen: ad.AnnData, hold: Hold) -> None:
    screen.X = np.where(np.isnan(screen.X) | (screen.X < 7), 0, screen.X)
    expected = pp.reactome(screen, **CALL, input_scale="log1p", copy=True)
    found = pp.reactome(hold(screen), **CALL, input_scale="log1p", copy=True)
    np.testing.assert_allclose(found.varm["reactome"], expected.varm["reactome"], rtol=1e-5, atol=1e-6)


def test_a_sparse_matrix_is_never_dense_as_a_whole(screen: ad.AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1, screen.shape).astype(np.float32))
    screen.X = counts
    sizes = []
    original = sparse.csr_matrix.toarray
    monkeypatch.setattr(
        sparse.csr_matrix, "toarray", lambda self, *a, **k: sizes.append(self.shape[0]) or original(self, *a, **k)
    )
    pp.reactome(screen, **CALL, input_scale="counts")
    assert max(sizes) == 16  # caffeine in an organ: 2 days × 2 doses × 4
    assert (screen.X != counts).nnz == 0


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_counts_are_normalised_and_depth_cancels(screen: ad.AnnData, form: Callable) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(200, screen.shape).astype(np.float32)
    depth = rng.choice([1, 2, 4], screen.n_obs).astype(np.float32)[:, None]
    screen.X = form(counts * depth)
    pp.reactome(screen, **CALL, input_scale="counts")

    library = (counts * depth).sum(axis=1, keepdims=True)
    y = counts * depth / library * np.median(library)
    obs = screen.obs.reset_index(drop=True)
    for c, (drug, organ) in enumerate(
        zip(*(screen.uns["reactome"]["conditions"][k] for k in ("drug", "organ")), strict=True)
    ):
        control = y[(obs["compound"] == "DMSO") & (obs["tissue"] == organ)].mean(axis=0)
        treated = y[(obs["compound"] == drug) & (obs["tissue"] == organ)]
        expected = (np.log2(treated + 1) - np.log2(control + 1)).mean(axis=0)
        np.testing.assert_allclose(screen.varm["reactome"][:, c], expected, rtol=1e-3, atol=1e-4)
    assert np.abs(screen.varm["reactome"]).max() < 0.3  # depth alone would give log2 of 4


def test_ready_responses_are_averaged_and_keep_their_unit(screen: ad.AnnData) -> None:
    responses = screen[screen.obs["compound"] != "DMSO"].copy()
    pp.reactome(responses, **{**CALL, "control": None}, input_scale="log_fc")
    frame = pd.DataFrame(responses.X, index=responses.obs_names)
    expected = frame.groupby([responses.obs["compound"].astype(str), responses.obs["tissue"]]).mean()
    np.testing.assert_allclose(responses.varm["reactome"].T, expected, rtol=1e-6)
    assert responses.uns["reactome"]["unit"] == "as given"
    assert "control" not in responses.uns["reactome"]


def test_baseline_levels_of_organs(screen: ad.AnnData) -> None:
    screen.X = np.exp2(screen.X)
    pp.reactome(screen, drug_key=None, organ_key="tissue", control=None, input_scale="linear")
    conditions = registered_reactome(screen).conditions
    assert conditions["organ"].tolist() == ["heart", "liver"]
    assert list(conditions) == ["organ"]
    liver = np.nanmean(np.log2(screen.X[(screen.obs["tissue"] == "liver").to_numpy()]), axis=0)
    np.testing.assert_allclose(screen.varm["reactome"][:, 1], liver, rtol=1e-5)


def correlated_screen(reliability: np.ndarray, n_conditions: int, n_replicates: int) -> ad.AnnData:
    """Ready responses of which the mean over replicates has the reliability given, gene by gene."""
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((n_conditions, len(reliability)))
    spread = np.sqrt(n_replicates * (1 / reliability - 1))
    X = np.repeat(truth, n_replicates, axis=0)
    X += spread * rng.standard_normal(X.shape)
    obs = pd.DataFrame({"drug": np.repeat([f"d{i}" for i in range(n_conditions)], n_replicates), "organ": "liver"})
    return ad.AnnData(X.astype(np.float32), obs=obs.set_index(obs.index.astype(str)))


def test_reliability_is_that_of_all_replicates() -> None:
    true = np.array([0.2, 0.5, 0.8, 0.95])
    adata = correlated_screen(true, n_conditions=4000, n_replicates=4)
    pp.reactome(adata, drug_key="drug", organ_key="organ", control=None, input_scale="log_fc")
    np.testing.assert_allclose(adata.var["reactome_reliability"], true, atol=0.05)


def test_reliability_does_not_count_the_noise_of_shared_controls() -> None:
    rng = np.random.default_rng(0)
    rows = [(drug, organ) for organ in range(300) for drug in ("DMSO", "a") for _ in range(2)]
    obs = pd.DataFrame(rows, columns=["drug", "organ"]).set_index(pd.Index([str(i) for i in range(len(rows))]))
    pure_noise = ad.AnnData(rng.normal(8, 1, (len(rows), 30)).astype(np.float32), obs=obs)
    pp.reactome(pure_noise, drug_key="drug", organ_key="organ", control="DMSO", input_scale="log2")
    assert abs(pure_noise.var["reactome_reliability"].mean()) < 0.1  # with the same controls in both halves: 0.5


def test_reliability_needs_replicates(screen: ad.AnnData) -> None:
    single = screen[~screen.obs[["tissue", "day", "compound", "dose"]].duplicated()].copy()
    pp.reactome(single, **MATCHED)
    assert single.var["reactome_reliability"].isna().all()
    constant = correlated_screen(np.array([0.5, 0.5]), 10, 4)
    constant.X[:, 0] = 8.1
    pp.reactome(constant, drug_key="drug", organ_key="organ", control=None, input_scale="log_fc")
    assert constant.var["reactome_reliability"].isna().tolist() == [True, False]


def test_the_seed_draws_the_halves_only(screen: ad.AnnData) -> None:
    first, again, other = (pp.reactome(screen, **MATCHED, seed=seed, copy=True) for seed in (0, 0, 1))
    assert first.var.equals(again.var)
    assert not first.var.equals(other.var)
    np.testing.assert_array_equal(first.varm["reactome"], other.varm["reactome"])


def test_a_copy_leaves_the_object_and_the_disk_keeps_all(screen: ad.AnnData, tmp_path: Path) -> None:
    out = pp.reactome(screen, **MATCHED, key_added="mine", copy=True)
    assert not screen.varm
    assert "mine" not in screen.uns
    out.write_h5ad(tmp_path / "out.h5ad")
    back, before = registered_reactome(ad.read_h5ad(tmp_path / "out.h5ad"), "mine"), registered_reactome(out, "mine")
    np.testing.assert_array_equal(back.values, before.values)
    np.testing.assert_array_equal(back.reliability, before.reliability)
    pd.testing.assert_frame_equal(back.conditions, before.conditions, check_dtype=False)
    assert back.record["control"] == "DMSO"


def _without_controls(adata: ad.AnnData) -> ad.AnnData:
    return adata[~((adata.obs["compound"] == "DMSO") & (adata.obs["tissue"] == "heart"))].copy()


@pytest.mark.parametrize(
    ("change", "call", "error", "message"),
    [
        (None, {"control": "dmso"}, KeyError, r"control='dmso' is not in .obs\['compound'\]; nearest: 'DMSO'"),
        (None, {"drug_key": "compund"}, KeyError, "drug_key='compund' is not in .obs; nearest: 'compound'"),
        (None, {"organ_key": "organ"}, KeyError, "organ_key='organ' is not in .obs"),
        (None, {"design_keys": "days"}, KeyError, "design_keys='days' is not in .obs; nearest: 'day'"),
        (None, {"design_keys": ["tissue"]}, ValueError, "must be different columns"),
        (None, {"norm": "l2"}, ValueError, "norm='l2', expected one of 'signed', 'l1'"),
        (None, {"input_scale": "tpm"}, ValueError, "input_scale='tpm' must be said, one of 'counts'"),
        (None, {"control": None}, ValueError, "control=None, but input_scale='log2' needs"),
        (None, {"input_scale": "log_fc"}, ValueError, "control='DMSO' goes with .* not with input_scale='log_fc'"),
        (None, {"drug_key": None}, ValueError, "control='DMSO' goes with .* not with drug_key=None"),
        (_without_controls, {}, ValueError, r"1 of 2 combinations of \['tissue'\] have no control: 'tissue=heart'"),
        (
            lambda a: a[~((a.obs["compound"] == "DMSO") & (a.obs["day"] == 3) & (a.obs["tissue"] == "liver"))].copy(),
            {"design_keys": "day"},
            ValueError,
            r"1 of 4 combinations .* have no control: 'tissue=liver, day=3'; drop",
        ),
    ],
)
def test_errors_name_the_argument_and_change_nothing(
    screen: ad.AnnData, change: Callable | None, call: dict, error: type[Exception], message: str
) -> None:
    adata = screen if change is None else change(screen)
    with pytest.raises(error, match=message):
        pp.reactome(adata, **{**CALL, "input_scale": "log2", **call})
    assert not adata.varm
    assert "reactome" not in adata.uns


def test_values_that_are_no_counts(screen: ad.AnnData) -> None:
    screen.X = np.full(screen.shape, 3.0, dtype=np.float32)
    screen.X[4, 2] = -1
    with pytest.raises(ValueError, match="input_scale='counts' needs counts >= 0.*adata.X has negative"):
        pp.reactome(screen, **CALL, input_scale="counts")
    with pytest.raises(ValueError, match="input_scale='linear' needs positive values"):
        pp.reactome(screen, **CALL, input_scale="linear")
    screen.X[4] = 0
    with pytest.raises(ValueError, match="1 samples without a single count, the first is row 4"):
        pp.reactome(screen, **CALL, input_scale="counts")


def test_gaps_and_duplicates(screen: ad.AnnData) -> None:
    adata = screen.copy()
    adata.obs.loc[adata.obs["compound"] == "aspirin", "tissue"] = np.nan
    with pytest.raises(ValueError, match=r".obs\['tissue'\] has 8 missing values"):
        pp.reactome(adata, **CALL, input_scale="log2")
    screen.var_names = ["g"] * screen.n_vars
    with pytest.raises(ValueError, match=r"adata.var_names must be unique.*'g'"):
        pp.reactome(screen, **CALL, input_scale="log2")


@pytest.mark.realdata
def test_drugmatrix_passes_through_as_ready_responses() -> None:
    drugmatrix = scgx.datasets.load("drugmatrix_full")
    pp.reactome(drugmatrix, drug_key="drug", organ_key="organ", control=None, input_scale="log_fc")
    reactome = registered_reactome(drugmatrix)
    assert reactome.values.shape == (3544, 1059)  # organ × drug pairs, as its README says
    obs = drugmatrix.obs.reset_index(drop=True)
    for c in (0, 500, 1058):
        rows = np.flatnonzero(
            (obs["drug"] == reactome.conditions["drug"][c]) & (obs["organ"] == reactome.conditions["organ"][c])
        )
        expected = np.asarray(drugmatrix.X[rows].mean(axis=0)).ravel()
        np.testing.assert_allclose(reactome.values[:, c], expected, atol=1e-6)


@pytest.mark.realdata
def test_liver_rna_seq_agrees_with_its_independent_repeat() -> None:
    liver = scgx.datasets.load("rat_liver_seqc")
    pp.reactome(
        liver,
        drug_key="drug",
        organ_key="organ",
        control="vehicle",
        design_keys=["norm_group"],
        input_scale="log1p",
        layer=_log1p(liver),
    )
    reactome = registered_reactome(liver)
    fluconazole = reactome.values[:, (reactome.conditions["drug"] == "fluconazole").to_numpy()]
    assert fluconazole.shape[1] == 2
    assert np.corrcoef(fluconazole.T)[0, 1] > 0.85  # two control sets


def _log1p(adata: ad.AnnData) -> str:
    X = adata.X.toarray() if sparse.issparse(adata.X) else adata.X
    adata.layers["log"] = np.log1p(X)
    return "log"
