from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import scgx
from scgx.estimators import DeepSynergy, SynergyMean
from scgx.selection import SYNERGIES
from scgx.tl import SynergyPredictor

pytestmark = pytest.mark.usefixtures("few_trees")
METHODS = ["line_mean", "logistic", "one_hot", "pair_kernel", "random_forest"]
STEM = "synergy_predictor"


@pytest.fixture(scope="module")
def screen(simulate_screen: Callable[..., Any]) -> Any:
    return simulate_screen(n_drugs=12, n_lines=3, n_rows=180)


@pytest.fixture(scope="module")
def pairs(screen: Any) -> pd.DataFrame:
    """Some with a new drug, some measured."""
    return screen.pairs.drop(columns=["label", "score"])[screen.pairs["cell_line"] != "line0"]


def fitted(screen: Any, method: str | list[str], column: str = "label") -> SynergyPredictor:
    table = screen.pairs[(screen.pairs[["drug_a", "drug_b", "cell_line"]] != ["drug0", "drug0", "line0"]).all(axis=1)]
    table = table.drop(columns=[{"label": "score", "score": "label"}[column]])
    return SynergyPredictor(method, n_folds=2, seed=3).fit(table, expression=screen.expression)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        (METHODS, "label"),
        (["line_mean", "one_hot", "pair_kernel"], "score"),
        *((name, "label") for name in METHODS[1:]),
    ],
)
def test_loaded_predicts_the_same(
    method: str | list[str], column: str, screen: Any, pairs: pd.DataFrame, tmp_path: Path
) -> None:
    predictor = fitted(screen, method, column)
    before = predictor.predict(pairs)
    predictor.save(tmp_path)
    loaded = SynergyPredictor.load(tmp_path)
    pd.testing.assert_frame_equal(loaded.scores(), predictor.scores())
    after = loaded.predict(pairs)
    pd.testing.assert_frame_equal(after, before, check_exact=True)
    assert after.attrs == before.attrs


def test_what_was_not_asked_before_saving_is_chosen_after_loading(
    screen: Any, pairs: pd.DataFrame, tmp_path: Path
) -> None:
    predictor = fitted(screen, ["line_mean", "pair_kernel"])
    predictor.save(tmp_path)
    loaded = SynergyPredictor.load(tmp_path)
    assert loaded.scores().empty
    pd.testing.assert_frame_equal(loaded.predict(pairs), predictor.predict(pairs), check_exact=True)
    with pytest.raises(ValueError, match="has two molecules"):  # names still mean what they meant
        loaded.predict(pairs[pairs["drug_a"] == "drug5"].iloc[:1].assign(smiles_a="CCCCCCCC"))


def test_a_network_is_loaded_and_not_trained_again(
    screen: Any, pairs: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SYNERGIES, "deepsynergy", lambda seed: DeepSynergy(hidden=(8,), max_epochs=2, seed=seed))
    predictor = fitted(screen, "deepsynergy")
    before = predictor.predict(pairs)
    predictor.save(tmp_path)
    # were it fitted again, it would be another method
    monkeypatch.setitem(SYNERGIES, "deepsynergy", lambda seed: SynergyMean("cell_line"))
    after = SynergyPredictor.load(tmp_path).predict(pairs)
    pd.testing.assert_frame_equal(after, before)


def test_damaged_and_foreign_files_are_refused(screen: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        SynergyPredictor().save(tmp_path)
    with pytest.raises(ValueError, match=f"is not a saved {STEM}"):
        SynergyPredictor.load(tmp_path)
    fitted(screen, "pair_kernel").save(tmp_path)
    with pytest.raises(ValueError, match="is not a saved translator"):
        scgx.tl.Translator.load(tmp_path)
    description, tensors = tmp_path / f"{STEM}.json", tmp_path / f"{STEM}.safetensors"
    content, raw = json.loads(description.read_text()), tensors.read_bytes()
    description.write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(ValueError, match="was saved in format 99"):
        SynergyPredictor.load(tmp_path)
    missing = {name: value for name, value in content["fitted"].items() if name != "genes"}
    description.write_text(json.dumps(content | {"fitted": missing}))
    with pytest.raises(ValueError, match=rf"damaged or not a saved {STEM}: 'genes'"):
        SynergyPredictor.load(tmp_path)
    description.write_text(json.dumps(content))
    tensors.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(ValueError, match="its checksum differs"):
        SynergyPredictor.load(tmp_path)
