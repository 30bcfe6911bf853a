from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

from scgx import pp


@pytest.fixture
def screen() -> ad.AnnData:
    """Positive intensities of compounds and vehicle in tissues × plates, rows shuffled, no group in one piece."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        [
            (tissue, plate, compound)
            for tissue in ("liver", "heart")
            for plate in (1, 2)
            for compound in ("vehicle", "vehicle", "vehicle", "aspirin", "caffeine")
        ],
        columns=["tissue", "plate", "compound"],
    ).sample(frac=1, random_state=1)
    obs.index = [f"s{i}" for i in range(len(obs))]
    obs["tissue"] = pd.Categorical(obs["tissue"], categories=["heart", "kidney", "liver"])
    X = rng.lognormal(3, 1, (len(obs), 6)).astype(np.float32)
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(6)]))


GROUPS = ["tissue", "plate"]
CALL = {"condition_key": "compound", "control": "vehicle", "groupby": GROUPS}


def _by_pandas(linear: pd.DataFrame, obs: pd.DataFrame, mean: Callable, base: float, pseudocount: float) -> np.ndarray:
    """Divide row by row, with pandas alone."""
    rows = []
    for name, row in linear.iterrows():
        same = (obs["tissue"] == obs.loc[name, "tissue"]) & (obs["plate"] == obs.loc[name, "plate"])
        controls = linear[same & (obs["compound"] == "vehicle")]
        rows.append((row + pseudocount) / (mean(controls) + pseudocount))
    return np.log(pd.DataFrame(rows).to_numpy(dtype=float)) / np.log(base)


def _arithmetic(controls: pd.DataFrame) -> pd.Series:
    return controls.mean()


def _geometric(controls: pd.DataFrame) -> pd.Series:
    return np.exp(np.log(controls).mean())


@pytest.mark.parametrize("base", [2, 10, np.e])
@pytest.mark.parametrize(
    ("scale", "transform", "mean", "pseudocount"),
    [
        pytest.param("linear", lambda x: x, _arithmetic, 0, id="linear"),
        pytest.param("log1p", np.log1p, _arithmetic, 1, id="log1p"),
        pytest.param("log2", np.log2, _geometric, 0, id="log2"),
        pytest.param("log10", np.log10, _geometric, 0, id="log10"),
    ],
)
def test_agrees_with_pandas(
    screen: ad.AnnData, scale: str, transform: Callable, mean: Callable, pseudocount: int, base: float
) -> None:
    expected = _by_pandas(screen.to_df(), screen.obs, mean, base, pseudocount)
    screen.layers["input"] = transform(screen.X)
    assert pp.log_fold_change(screen, **CALL, input_scale=scale, base=base, layer="input") is None
    np.testing.assert_allclose(screen.layers["log_fc"], expected, atol=2e-5)
    assert screen.layers["log_fc"].dtype == np.float32


def test_array_types_agree(screen: ad.AnnData, hold: Callable) -> None:
    counts = screen.copy()
    counts.X = np.log1p(np.floor(counts.X / 20))  # many zeros
    expected = pp.log_fold_change(counts, **CALL, input_scale="log1p", copy=True).layers["log_fc"]
    result = pp.log_fold_change(hold(counts), **CALL, input_scale="log1p", copy=True)
    np.testing.assert_allclose(result.layers["log_fc"], expected, atol=1e-6)


def test_row_order_does_not_matter(screen: ad.AnnData) -> None:
    order = np.random.default_rng(2).permutation(screen.n_obs)
    shuffled = screen[order].copy()
    for adata in (screen, shuffled):
        pp.log_fold_change(adata, **CALL, input_scale="linear")
    np.testing.assert_allclose(shuffled.layers["log_fc"], screen.layers["log_fc"][order], atol=1e-6)


def test_many_rows_are_read_in_blocks() -> None:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"drug": rng.choice(["no", "yes"], 1500)}, index=[str(i) for i in range(1500)])
    adata = ad.AnnData(rng.normal(8, 1, (1500, 3)).astype(np.float32), obs=obs)
    pp.log_fold_change(adata, condition_key="drug", control="no", input_scale="log2", base=2)
    expected = adata.X - adata.X[(obs["drug"] == "no").to_numpy()].astype(float).mean(axis=0)
    np.testing.assert_allclose(adata.layers["log_fc"], expected, atol=1e-5)


def test_missing_values_are_left_out(screen: ad.AnnData) -> None:
    control = (screen.obs["compound"] == "vehicle").to_numpy()
    group = ((screen.obs["tissue"] == "liver") & (screen.obs["plate"] == 2)).to_numpy()
    screen.X = np.log2(screen.X)
    screen.X[np.flatnonzero(control & group)[0], 0] = np.nan
    screen.X[control & group, 1] = np.nan
    screen.X[np.flatnonzero(~control)[0], 2] = np.nan
    *gone, kept = np.flatnonzero(control & group)
    screen.X[gone, 3] = np.nan
    pp.log_fold_change(screen, **CALL, input_scale="log2", base=2)
    log_fc = screen.layers["log_fc"]
    two_controls = np.flatnonzero(control & group)[1:]
    np.testing.assert_allclose(log_fc[group, 0], screen.X[group, 0] - screen.X[two_controls, 0].mean(), atol=1e-5)
    assert np.isnan(log_fc[group, 1]).all() and not np.isnan(log_fc[~group, 1]).any()
    np.testing.assert_array_equal(np.isnan(log_fc[:, 2]), np.isnan(screen.X[:, 2]))
    np.testing.assert_allclose(log_fc[group, 3], screen.X[group, 3] - screen.X[kept, 3], atol=1e-5)


def test_follows_the_base_that_scanpy_records(screen: ad.AnnData) -> None:
    natural, binary = screen.copy(), screen.copy()
    sc.pp.log1p(natural)
    sc.pp.log1p(binary, base=2)
    for adata in (natural, binary):
        pp.log_fold_change(adata, **CALL, input_scale="log1p")
    np.testing.assert_allclose(binary.layers["log_fc"], natural.layers["log_fc"], atol=1e-5)


def test_without_groups_all_controls_count(screen: ad.AnnData) -> None:
    pp.log_fold_change(screen, condition_key="compound", control="vehicle", input_scale="linear", base=2)
    control = (screen.obs["compound"] == "vehicle").to_numpy()
    # by construction the controls' own ratios average to one
    np.testing.assert_allclose((2 ** screen.layers["log_fc"][control]).mean(axis=0), 1, atol=1e-5)


def test_control_may_be_a_number(screen: ad.AnnData, tmp_path: Path) -> None:
    screen.obs["dose"] = np.where(screen.obs["compound"] == "vehicle", 0.0, 2.5)
    expected = pp.log_fold_change(screen, **CALL, input_scale="linear", copy=True).layers["log_fc"]
    pp.log_fold_change(screen, condition_key="dose", control=0, groupby=GROUPS, input_scale="linear")
    np.testing.assert_array_equal(screen.layers["log_fc"], expected)
    screen.write_h5ad(tmp_path / "x.h5ad")
    assert ad.read_h5ad(tmp_path / "x.h5ad").uns["log_fc"]["control"] == 0


def test_record_survives_h5ad(screen: ad.AnnData, tmp_path: Path) -> None:
    pp.log_fold_change(screen, **CALL, input_scale="linear", key_added="fc")
    screen.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(back.layers["fc"], screen.layers["fc"])
    record = {**back.uns["fc"], "groupby": list(back.uns["fc"]["groupby"])}
    assert record == {
        "base": 10,
        "control": "vehicle",
        "condition_key": "compound",
        "groupby": GROUPS,
        "input_scale": "linear",
    }
    assert "log_fc" not in back.uns and "log_fc" not in back.layers


def test_copy_leaves_the_input_alone(screen: ad.AnnData) -> None:
    result = pp.log_fold_change(screen, **CALL, input_scale="linear", copy=True)
    assert "log_fc" in result.layers and not screen.layers and not screen.uns


def _set(column: str, value: object, rows: slice = slice(0, 1)) -> Callable:
    def change(adata: ad.AnnData) -> None:
        adata.obs[column] = adata.obs[column].astype(object)
        adata.obs.iloc[rows, adata.obs.columns.get_loc(column)] = value

    return change


def _put(value: float) -> Callable:
    def change(adata: ad.AnnData) -> None:
        adata.X[3, 2] = value

    return change


def _nothing(adata: ad.AnnData) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "call", "error", "message"),
    [
        pytest.param(
            _nothing, {}, ValueError, r"input_scale=None .*'linear'.*'log1p'.*'log2' or 'log10'", id="no scale"
        ),
        pytest.param(_nothing, {"input_scale": "ln"}, ValueError, r"input_scale='ln' must be said", id="odd scale"),
        pytest.param(_nothing, {"input_scale": "log2", "base": 1}, ValueError, r"base=1 must be greater", id="base"),
        pytest.param(
            _nothing, {"condition_key": "Compound"}, KeyError, "condition_key='Compound'.*'compound'", id="key"
        ),
        pytest.param(
            _nothing, {"control": "vehicel"}, KeyError, r"control='vehicel' .*nearest: 'vehicle'", id="control"
        ),
        pytest.param(_nothing, {"groupby": "tisue"}, KeyError, r"groupby='tisue' .*nearest: 'tissue'", id="groupby"),
        pytest.param(_nothing, {"layer": "x"}, KeyError, r"layer='x' is not in \.layers; it is empty", id="layer"),
        pytest.param(
            _nothing,
            {"groupby": "compound"},
            ValueError,
            "2 of 3 groups .* no control: 'aspirin', 'caffeine'",
            id="alone",
        ),
        pytest.param(_set("tissue", np.nan), {}, ValueError, r"'tissue'\] .* 1 missing values", id="missing group"),
        pytest.param(_put(np.inf), {}, ValueError, r"adata\.X has 1 infinite .*\(3, 2\)", id="inf"),
        pytest.param(_put(0), {}, ValueError, r"'linear' needs positive .*log1p.* 0 at .*\(3, 2\)", id="zero"),
        pytest.param(
            _put(-1), {"input_scale": "log1p"}, ValueError, r"'log1p' needs .*-1 at .*\(3, 2\)", id="negative"
        ),
        pytest.param(_put(900), {"input_scale": "log1p"}, ValueError, r"raw counts.* 900 at .*\(3, 2\)", id="counts"),
        pytest.param(_put(900), {"input_scale": "log2"}, ValueError, r"'linear'\?.* 900 at .*\(3, 2\)", id="not log"),
    ],
)
def test_bad_input_is_named_and_nothing_changes(
    screen: ad.AnnData, change: Callable, call: dict, error: type[Exception], message: str
) -> None:
    if call.get("input_scale", "linear").startswith("log"):
        screen.X = np.log2(screen.X + 1)
    change(screen)
    defaults = {} if message.startswith("input_scale=None") else {"input_scale": "linear"}
    with pytest.raises(error, match=message):
        pp.log_fold_change(screen, **{**CALL, **defaults, **call})
    assert not screen.layers and not screen.uns


def test_a_group_without_control_is_named(screen: ad.AnnData) -> None:
    keep = ~((screen.obs["tissue"] == "heart") & (screen.obs["plate"] == 2) & (screen.obs["compound"] == "vehicle"))
    with pytest.raises(ValueError, match=r"1 of 4 groups .*heart.*2.*drop them or group by fewer columns"):
        pp.log_fold_change(screen[keep.to_numpy()].copy(), **CALL, input_scale="linear")
