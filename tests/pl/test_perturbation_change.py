from __future__ import annotations

import re

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from scipy import sparse
from scipy.stats import pearsonr

import scgx

GENES = 40
KEYS = {"perturbation_key": "drug", "control": "none"}


def screen(lines: str = "ab", n_drugs: int = 14, n: int = 12) -> ad.AnnData:
    """Drugs with effects of their own and a common one in each line; half of the controls are put aside."""
    rng = np.random.default_rng(0)
    conditions = [(drug, line) for line in lines for drug in ["none", *(f"d{i:02d}" for i in range(n_drugs))]]
    effect = {f"d{i:02d}": rng.normal(0, 0.8, GENES) for i in range(n_drugs)} | {"none": np.zeros(GENES)}
    common = rng.normal(0, 0.8, GENES)
    mean = np.stack([5 + effect[drug] + common * (drug != "none") for drug, _ in conditions])
    X = mean.repeat(n, axis=0) + 0.3 * rng.normal(size=(n * len(conditions), GENES))
    obs = pd.DataFrame(np.repeat(conditions, n, axis=0), columns=["drug", "line"])
    obs["aside"] = np.arange(len(obs)) % 2 == 0
    return ad.AnnData(
        X.astype(np.float32),
        obs=obs.set_axis([f"c{i}" for i in range(len(obs))]),
        var=pd.DataFrame(index=[f"g{j:02d}" for j in range(GENES)]),
    )


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    return screen()


@pytest.fixture(scope="module")
def predicted(cells: ad.AnnData) -> ad.AnnData:
    """Two drugs of line b, learned from line a and the other drugs; controls put aside were not seen."""
    asked = cells.obs["drug"].isin(["d00", "d01"]) & (cells.obs["line"] == "b")
    known = cells[~asked & ~((cells.obs["drug"] == "none") & cells.obs["aside"])]
    predictor = scgx.tl.PerturbationPredictor("context_mean", **KEYS, context_key="line").fit(known)
    conditions = pd.DataFrame({"drug": ["d00", "d01"], "line": "b"})
    return predictor.predict(known, conditions)


def truth(cells: ad.AnnData, drug: str, *, aside: bool) -> np.ndarray:
    obs, X = cells.obs, np.asarray(cells.X, dtype=float)
    here = obs["line"] == "b"
    return X[here & (obs["drug"] == drug)].mean(axis=0) - X[
        here & (obs["drug"] == "none") & (obs["aside"] == aside)
    ].mean(axis=0)


def held_out(cells: ad.AnnData) -> ad.AnnData:
    return cells[cells.obs["drug"].isin(["d00", "d01"]) | ((cells.obs["drug"] == "none") & cells.obs["aside"])]


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"r = (-?[\d.]+)", text)]


def dots(ax: Axes, label: str) -> np.ndarray:
    (found,) = [one for one in ax.collections if str(one.get_label()).startswith(label)]
    return np.asarray(found.get_offsets())


def test_dots_and_numbers_are_those_of_numpy_and_scipy(cells: ad.AnnData, predicted: ad.AnnData) -> None:
    ax = scgx.pl.perturbation_change(predicted, held_out(cells), perturbation="d01")
    record, true = predicted.uns["perturbation_predicted"], truth(cells, "d01", aside=True)
    change, mean = record["change"][1], record["mean_change"][1]
    np.testing.assert_allclose(dots(ax, "context_mean"), np.column_stack([true, change]), rtol=1e-5)
    np.testing.assert_allclose(dots(ax, "mean change"), np.column_stack([true, mean]), rtol=1e-5)
    assert ax.get_title().startswith("d01, b\n")
    expected = [pearsonr(true, change).statistic, pearsonr(true - mean, change - mean).statistic]
    assert numbers(ax.get_title()) == pytest.approx(expected, abs=0.0051)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert numbers(legend[0]) == pytest.approx([pearsonr(true, mean).statistic], abs=0.0051)


def test_the_mean_change_is_that_of_the_reference_in_this_context(cells: ad.AnnData, predicted: ad.AnnData) -> None:
    obs, X = cells.obs, np.asarray(cells.X, dtype=float)
    here = obs["line"] == "b"
    control = X[here & (obs["drug"] == "none") & ~obs["aside"]].mean(axis=0)
    others = sorted(set(obs["drug"]) - {"none", "d00", "d01"})
    expected = np.mean([X[here & (obs["drug"] == drug)].mean(axis=0) - control for drug in others], axis=0)
    np.testing.assert_allclose(predicted.uns["perturbation_predicted"]["mean_change"][0], expected, atol=1e-4)


def test_the_genes_that_changed_most_are_named_with_their_intervals(cells: ad.AnnData, predicted: ad.AnnData) -> None:
    ax = scgx.pl.perturbation_change(predicted, held_out(cells), perturbation="d00", n_labels=4)
    true, record = truth(cells, "d00", aside=True), predicted.uns["perturbation_predicted"]
    largest = np.argsort(-np.abs(true))[:4]
    assert [text.get_text() for text in ax.texts] == [f"g{j:02d}" for j in largest]
    np.testing.assert_allclose(
        [text.xy for text in ax.texts], np.column_stack([true, record["change"][0]])[largest], rtol=1e-5
    )
    bars = ax.containers[0].lines[2][0].get_segments()
    half = record["half_width"][0]
    assert np.isfinite(half).all()
    np.testing.assert_allclose([np.ptp(bar[:, 1]) for bar in bars], 2 * half[largest], rtol=1e-4)
    assert ax.get_xlim() == ax.get_ylim()
    all_dots = np.concatenate([dots(ax, "context_mean"), dots(ax, "mean change")])
    assert ax.get_ylim() == pytest.approx((all_dots.min(), all_dots.max()), abs=0.06 * np.ptp(all_dots))
    inside = np.mean(np.abs(true - record["change"][0]) <= half)
    assert f"90% interval, holds {inside:.0%} of the genes" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_without_finite_intervals_there_are_no_bars(cells: ad.AnnData, predicted: ad.AnnData) -> None:
    few = predicted.copy()
    few.uns["perturbation_predicted"]["half_width"][:] = np.inf
    ax = scgx.pl.perturbation_change(few, held_out(cells), perturbation="d00")
    assert not ax.containers
    assert len(ax.texts) == 10


def test_without_controls_of_their_own_those_of_the_prediction_are_taken(
    cells: ad.AnnData, predicted: ad.AnnData
) -> None:
    treated = held_out(cells)[held_out(cells).obs["drug"] == "d00"]
    ax = scgx.pl.perturbation_change(predicted, treated, perturbation="d00")
    np.testing.assert_allclose(dots(ax, "context_mean")[:, 0], truth(cells, "d00", aside=False), rtol=1e-4)


def test_genes_are_found_by_name_in_any_matrix(cells: ad.AnnData, predicted: ad.AnnData) -> None:
    other = held_out(cells)[:, ::-1][:, 5:].copy()
    other.X = sparse.csr_matrix(other.X)
    ax = scgx.pl.perturbation_change(predicted, other, perturbation="d00", n_labels=GENES)
    placed = {text.get_text(): text.xy[0] for text in ax.texts}
    true = truth(cells, "d00", aside=True)
    assert placed == pytest.approx({f"g{j:02d}": true[j] for j in range(GENES - 5)}, rel=1e-4)


def test_the_verb_writes_what_the_figure_reads(cells: ad.AnnData) -> None:
    """One condition and context: nothing to choose; without a column all cells of the query are controls."""
    at_b = cells.obs["line"] == "b"
    query = cells[at_b & (cells.obs["drug"] == "none")].copy()
    del query.obs["drug"]
    scgx.tl.predict_perturbation(query, "d03", reference=cells[~at_b], method="mean_delta", **KEYS)
    ax = scgx.pl.perturbation_change(query, cells[at_b & (cells.obs["drug"] == "d03")], ax=plt.figure().subplots())
    X = np.asarray(cells.X, dtype=float)
    true = X[at_b & (cells.obs["drug"] == "d03")].mean(axis=0) - X[at_b & (cells.obs["drug"] == "none")].mean(axis=0)
    np.testing.assert_allclose(dots(ax, "measured")[:, 0], true, rtol=1e-4)


def test_doses_are_told_apart() -> None:
    cells = screen("a", n_drugs=3)
    cells.obs["dose"] = np.where(cells.obs["drug"] == "none", 1.0, np.where(cells.obs["aside"], 0.1, 10.0))
    strong = (cells.obs["dose"] == 10.0).to_numpy()
    cells.X[strong] += 1
    predictor = scgx.tl.PerturbationPredictor("mean_delta", **KEYS, dose_key="dose").fit(cells)
    found = predictor.predict(cells, pd.DataFrame({"drug": ["d00", "d00"], "dose": [0.1, 10.0]}))
    weak, high = (dots(scgx.pl.perturbation_change(found, cells, dose=d), "measured")[:, 0].mean() for d in (0.1, 10.0))
    assert high - weak == pytest.approx(1, abs=0.1)
    with pytest.raises(ValueError, match="there are 2 predicted conditions: .*dose=10.0.*choose one by"):
        scgx.pl.perturbation_change(found, cells)
    with pytest.raises(KeyError, match=r"dose=3 is not in the predicted conditions \(dose\)"):
        scgx.pl.perturbation_change(found, cells, dose=3)


def test_doses_of_any_unit_are_told_apart() -> None:
    cells = screen("a", n_drugs=3)
    cells.obs["dose"] = np.where(cells.obs["drug"] == "none", 1.0, np.where(cells.obs["aside"], 1e-9, 5e-9))  # molar
    cells.X[(cells.obs["dose"] == 5e-9).to_numpy()] += 1
    predictor = scgx.tl.PerturbationPredictor("mean_delta", **KEYS, dose_key="dose").fit(cells)
    found = predictor.predict(cells, pd.DataFrame({"drug": ["d00", "d00"], "dose": [1e-9, 5e-9]}))
    low, high = (dots(scgx.pl.perturbation_change(found, cells, dose=d), "measured")[:, 0].mean() for d in (1e-9, 5e-9))
    assert high - low == pytest.approx(1, abs=0.1)


def test_names_together_have_no_order() -> None:
    cells = screen("a", n_drugs=3)
    cells.obs["drug"] = cells.obs["drug"].astype(str).replace({"d02": "d00+d01"})
    predictor = scgx.tl.PerturbationPredictor("mean_delta", **KEYS, separator="+").fit(cells)
    found = predictor.predict(cells, ["d00+d01"])
    expected = dots(scgx.pl.perturbation_change(found, cells), "measured")[:, 0]
    written = cells.obs["drug"] == "d00+d01"
    cells.obs.loc[written[written].index[::2], "drug"] = "d01+d00"
    np.testing.assert_allclose(dots(scgx.pl.perturbation_change(found, cells), "measured")[:, 0], expected, rtol=1e-6)


def test_errors_name_what_is_missing(cells: ad.AnnData, predicted: ad.AnnData) -> None:
    measured = held_out(cells)
    with pytest.raises(ValueError, match="2 predicted conditions: \"perturbation='d00' context='b'\".*choose one by"):
        scgx.pl.perturbation_change(predicted, measured)
    with pytest.raises(KeyError, match="perturbation='d0' is not in the predicted conditions.*nearest: 'd01', 'd00'"):
        scgx.pl.perturbation_change(predicted, measured, perturbation="d0")
    with pytest.raises(ValueError, match="`dose`=1.0 was given, but the prediction knows of no dose"):
        scgx.pl.perturbation_change(predicted, measured, dose=1.0)
    with pytest.raises(KeyError, match="key='mine' is not in .uns"):
        scgx.pl.perturbation_change(predicted, measured, perturbation="d00", key="mine")
    with pytest.raises(KeyError, match="perturbation='d00' is not in measured.obs"):
        scgx.pl.perturbation_change(predicted, measured[measured.obs["drug"] == "d01"], perturbation="d00")
    with pytest.raises(KeyError, match="`measured` has cells of 'd00', but none with .*'context': 'b'"):
        scgx.pl.perturbation_change(predicted, measured[measured.obs["line"] == "a"], perturbation="d00")
    treated = measured[measured.obs["drug"] == "d00"]
    with pytest.raises(ValueError, match="`measured` has no control cells with .*; give `measured` control cells"):
        scgx.pl.perturbation_change(predicted[:, 1:].copy(), treated, perturbation="d00")
    with pytest.raises(ValueError, match="there are no such condition together; choose one"):
        both = predicted.copy()
        both.uns["perturbation_predicted"]["context"][:] = [
            "a",
            *["b"] * (len(both.uns["perturbation_predicted"]["context"]) - 1),
        ]
        scgx.pl.perturbation_change(both, measured, perturbation="d01", context="a")
    with pytest.raises(ValueError, match="measured.var_names` has 10 of 40 genes"):
        scgx.pl.perturbation_change(predicted, measured[:, :10], perturbation="d00")
    assert not plt.get_fignums()
