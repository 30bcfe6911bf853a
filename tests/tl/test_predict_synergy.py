from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scgx._core.molecules import morgan_fingerprints
from scgx.estimators import tanimoto
from scgx.tl import SynergyPredictor, predict_synergy

SMILES = ["smiles_a", "smiles_b"]
CHEAP = ["line_mean", "logistic", "pair_kernel"]

pytestmark = pytest.mark.usefixtures("few_trees")


@pytest.fixture(scope="module")
def screen(simulate_screen: Callable[..., Any]) -> Any:
    return simulate_screen(n_drugs=20, n_lines=5, n_rows=500)


@pytest.fixture(scope="module")
def predictor(screen: Any) -> SynergyPredictor:
    known = screen.pairs[~_new(screen.pairs).any(axis=1)]
    return SynergyPredictor(CHEAP, n_folds=3).fit(known, expression=screen.expression)


def _new(pairs: pd.DataFrame) -> pd.DataFrame:
    """Two drugs and a line that the training pairs of these tests lack."""
    drugs = pairs[["drug_a", "drug_b"]].isin(["drug0", "drug1"])
    return drugs.assign(line=pairs["cell_line"] == "line0")


def asked(screen: Any, rows: Any = slice(None)) -> pd.DataFrame:
    return screen.pairs.drop(columns=["label", "score"])[rows]


def test_columns_and_what_is_new(screen: Any, predictor: SynergyPredictor) -> None:
    pairs = asked(screen).iloc[::3].assign(note="kept")
    before = pairs.copy()
    out = predictor.predict(pairs)
    pd.testing.assert_frame_equal(pairs, before)
    pd.testing.assert_frame_equal(out[pairs.columns], before, check_flags=False)
    assert out["probability"].between(0, 1).all()
    assert out["one_hot_probability"].between(0, 1).all()
    new = _new(pairs)
    for words, drugs in (("one drug", 1), ("both drugs", 2)):
        rows = new[["drug_a", "drug_b"]].sum(axis=1) == drugs
        assert set(out.loc[rows & ~new["line"], "novel"]) <= {words}
        assert set(out.loc[rows & new["line"], "novel"]) <= {f"{words} + line"}
    assert (out.loc[~new["drug_a"], "novelty_a"] == 0).all()
    assert (out.loc[new["drug_b"], "novelty_b"] > 0).all()
    record = out.attrs["predict_synergy"]["questions"]
    assert record["one_drug"]["split"] == "one_drug"
    assert set(record["one_drug"]["scores"]["method"]) == {*CHEAP, "one_hot", "stack"}
    assert sum(question["n_pairs"] for question in record.values()) == len(out)


def test_novelty_is_the_distance_to_the_nearest_training_drug(screen: Any, predictor: SynergyPredictor) -> None:
    row = asked(screen)[(screen.pairs["drug_a"] == "drug0") & ~_new(screen.pairs)["drug_b"]].iloc[[0]]
    known = screen.pairs[~_new(screen.pairs).any(axis=1)]
    others = morgan_fingerprints(sorted(set(known["smiles_a"]) | set(known["smiles_b"])))
    expected = 1 - tanimoto(morgan_fingerprints(row["smiles_a"]), others).max()
    assert predictor.predict(row)["novelty_a"].item() == pytest.approx(expected)


def test_order_names_and_salts_do_not_matter(screen: Any, predictor: SynergyPredictor) -> None:
    pairs = asked(screen).iloc[:60]
    out = predictor.predict(pairs)
    swapped = pairs.rename(
        columns={"drug_a": "drug_b", "drug_b": "drug_a", "smiles_a": "smiles_b", "smiles_b": "smiles_a"}
    )
    moved = predictor.predict(swapped)
    np.testing.assert_allclose(moved["probability"], out["probability"], atol=1e-9)
    np.testing.assert_array_equal(moved["novelty_a"], out["novelty_b"])
    renamed = pairs.assign(drug_a="salt of " + pairs["drug_a"], smiles_a=pairs["smiles_a"] + ".Cl")
    same = predictor.predict(renamed)
    np.testing.assert_allclose(same["probability"], out["probability"], atol=1e-9)
    np.testing.assert_array_equal(same["novel"], out["novel"])


def test_a_drug_with_itself_is_predicted_and_marked(screen: Any, predictor: SynergyPredictor) -> None:
    row = asked(screen)[~_new(screen.pairs).any(axis=1)].iloc[[0]]
    row = row.assign(drug_b="other name", smiles_b=row["smiles_a"])
    out = predictor.predict(row)
    assert out["novel"].item() == "same drug twice, pair"
    assert np.isfinite(out["probability"].item())


def test_model_and_anndata_give_the_same(screen: Any, predictor: SynergyPredictor) -> None:
    pairs = asked(screen).iloc[:40]
    lines = AnnData(screen.expression.iloc[:, ::-1])  # genes are found by name
    out = predict_synergy(pairs, expression=lines, model=predictor)
    np.testing.assert_allclose(out["probability"], predictor.predict(pairs)["probability"], atol=1e-6)


def test_scores_are_predicted_where_there_are_no_labels(screen: Any) -> None:
    train, test = screen.pairs.iloc[:400].drop(columns="label"), asked(screen, slice(400, None))
    out = predict_synergy(
        test, expression=screen.expression, train_pairs=train, method=["line_mean", "random_forest"], n_folds=3
    )
    assert {"score", "one_hot_score"} <= set(out.columns)
    assert np.corrcoef(out["score"], screen.truth[400:])[0, 1] > 0.5
    assert set(out.attrs["predict_synergy"]["questions"]["random"]["scores"]) == {"method", "spearman", "pearson"}


def test_the_table_of_scores_has_the_chosen_first_among_its_question(predictor: SynergyPredictor, screen: Any) -> None:
    predictor.predict(asked(screen).iloc[:60])
    table = predictor.scores()
    for _, rows in table.groupby("question"):
        assert rows["chosen"].sum() == 1
        assert rows["auroc"].is_monotonic_decreasing


def _with(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    return frame.assign(**{column: frame[column].where(np.arange(len(frame)) != 2, value)})


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        pytest.param(lambda f: f.rename(columns={"drug_a": "drug_A"}), KeyError, "nearest: 'drug_A'", id="column"),
        pytest.param(lambda f: _with(f, "cell_line", "HeLa"), KeyError, "without expression: 'HeLa'", id="line"),
        pytest.param(lambda f: _with(f, "smiles_b", "C1CC"), ValueError, "'C1CC' of drug 'drug", id="smiles"),
        pytest.param(lambda f: _with(f, "smiles_b", None), ValueError, "no 'smiles_b' in row 2", id="missing"),
        pytest.param(
            lambda f: _with(f, "drug_a", "drug5"), ValueError, "'drug5' has two molecules", id="two-molecules"
        ),
        pytest.param(lambda f: f.assign(label=1), ValueError, "has 1 in every row of 'label'", id="one-class"),
        pytest.param(lambda f: f.assign(label=2 * f["label"]), ValueError, "must have labels 0 and 1", id="labels"),
        pytest.param(
            lambda f: f.drop(columns=["label", "score"]), KeyError, "needs 'label' or 'score'", id="no-target"
        ),
        pytest.param(lambda f: f.iloc[:0], ValueError, "has no rows", id="empty"),
    ],
)
def test_bad_training_pairs_are_named(
    change: Callable[[pd.DataFrame], pd.DataFrame], error: type[Exception], match: str, screen: Any
) -> None:
    with pytest.raises(error, match=match):
        SynergyPredictor().fit(change(screen.pairs), expression=screen.expression)


def test_a_name_must_mean_the_molecule_it_meant_in_training(screen: Any, predictor: SynergyPredictor) -> None:
    row = asked(screen)[~_new(screen.pairs).any(axis=1)].iloc[[0]].assign(smiles_a="CCCCCCCC")
    with pytest.raises(ValueError, match="has two molecules"):
        predictor.predict(row)


def test_arguments_that_exclude_each_other(screen: Any, predictor: SynergyPredictor) -> None:
    pairs = asked(screen).iloc[:3]
    with pytest.raises(ValueError, match="give `train_pairs`"):
        predict_synergy(pairs, expression=screen.expression)
    with pytest.raises(ValueError, match="`model` only predicts"):
        predict_synergy(pairs, expression=screen.expression, model=predictor, train_pairs=screen.pairs)
    with pytest.raises(TypeError, match="must be a SynergyPredictor"):
        predict_synergy(pairs, expression=screen.expression, model="deepdds")
    with pytest.raises(ValueError, match="not fitted"):
        SynergyPredictor().predict(pairs)
    with pytest.raises(ValueError, match="gene"):
        predict_synergy(pairs, expression=screen.expression.iloc[:, 1:], model=predictor)
