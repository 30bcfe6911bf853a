"""Calibration on a new study whose shifts are known."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scgx import pp, tl

P, M = 40, 30


def study(
    n: int, seed: int, *, source_shift: float = 0, target_shift: float = 0, scale: float = 0, common: float = 1
) -> ad.AnnData:
    """Rows of one linear system; a new study's genes are shifted and rescaled by draws with the given spread."""
    system = np.random.default_rng(0)
    to_source, to_target = system.normal(size=(3, P)), system.normal(size=(3, M))
    rng = np.random.default_rng(seed)
    programs = rng.normal(size=(n, 3))
    X = programs @ to_source + 0.3 * rng.normal(size=(n, P)) + source_shift * system.normal(size=P)
    X *= common * np.exp(scale * np.random.default_rng(9).normal(size=P))
    Y = programs @ to_target + 0.3 * rng.normal(size=(n, M)) + target_shift * system.normal(size=M)
    obs = pd.DataFrame(index=[f"s{i}" for i in range(n)])
    source = ad.AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i:02}" for i in range(P)]))
    target = ad.AnnData(Y.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"t{i:02}" for i in range(M)]))
    pp.add_target(source, target)
    return source


@pytest.fixture(scope="module")
def translator() -> tl.Translator:
    return tl.Translator("ridge").fit(study(120, 1))


def error(translator: tl.Translator, adata: ad.AnnData) -> float:
    return float(np.mean((translator.predict(adata)[0] - adata.obsm["target"]) ** 2))


def test_source_shift_is_removed_without_pairs(translator: tl.Translator) -> None:
    new = study(200, 2, source_shift=2)
    blind = new.copy()
    del blind.obsm["target"], blind.uns["target"]
    calibrated = translator.calibrate(blind)
    assert error(calibrated, new) < 0.3 * error(translator, new)
    assert calibrated.report()["calibration"] == "source shift, 200 rows"
    assert translator.report()["calibration"] == "none"


def test_relative_scale_is_removed_without_pairs(translator: tl.Translator) -> None:
    new = study(200, 2, scale=0.5)
    blind = new.copy()
    del blind.obsm["target"], blind.uns["target"]
    calibrated = translator.calibrate(blind)
    assert error(calibrated, new) < 0.5 * error(translator, new)
    assert "relative scale, 200 rows" in calibrated.report()["calibration"]


def test_stronger_treatments_are_not_scaled_away_without_pairs_but_another_unit_is_with_them(
    translator: tl.Translator,
) -> None:
    """Without pairs the two look the same: the source of both is twice as wide."""
    new = study(200, 2, common=2)
    blind = new.copy()
    del blind.obsm["target"], blind.uns["target"]
    np.testing.assert_array_equal(translator.calibrate(blind).fitted.source_scale, 1)
    few = new.copy()
    few.obsm["target"][6:] = np.nan
    calibrated = translator.calibrate(few)
    assert "source shift + scale" in calibrated.report()["calibration"]
    assert error(calibrated, new[6:].copy()) < 0.3 * error(translator, new[6:].copy())


def test_few_pairs_find_the_offset_of_the_target(translator: tl.Translator) -> None:
    new = study(60, 3, target_shift=1)
    few = new[:8].copy()
    calibrated = translator.calibrate(few)
    assert calibrated.report()["calibration"].startswith("target offset, 8")
    assert error(calibrated, new[8:].copy()) < 0.4 * error(translator, new[8:].copy())


def test_nothing_is_done_where_nothing_is_shifted(translator: tl.Translator) -> None:
    new = study(300, 4)
    calibrated = translator.calibrate(new[:6].copy())
    assert error(calibrated, new[6:].copy()) < 1.05 * error(translator, new[6:].copy())


def grouped_study(n_groups: int, seed: int) -> ad.AnnData:
    """Twelve rows a compound, each compound with an effect of its own that the source does not show; no shift."""
    new = study(12 * n_groups, seed)
    new.obs["compound"] = np.repeat([f"c{i}" for i in range(n_groups)], 12)
    effect = np.random.default_rng(seed).normal(size=(n_groups, M))
    new.obsm["target"] += np.repeat(effect, 12, axis=0).astype(np.float32)
    return new


def test_the_effect_of_one_group_is_no_offset() -> None:
    translator = tl.Translator("ridge", group_key="compound").fit(grouped_study(10, 7))
    new = grouped_study(6, 8)
    one = translator.calibrate(new[:12].copy())
    np.testing.assert_array_equal(one.fitted.target_offset, 0)
    others = new[12:].copy()
    assert error(translator.calibrate(new[:24].copy()), others) < 1.1 * error(translator, others)
    ungrouped = tl.Translator("ridge").fit(grouped_study(10, 7)).calibrate(new[:12].copy())
    assert error(ungrouped, others) > 1.2 * error(translator, others)  # what the groups guard against


def test_calibration_is_saved(translator: tl.Translator, tmp_path: Path) -> None:
    new = study(50, 5, source_shift=2, target_shift=1, scale=0.5)
    calibrated = translator.calibrate(new)
    assert not (calibrated.fitted.source_scale == 1).all()
    calibrated.save(tmp_path)
    loaded = tl.Translator.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(new)[0], calibrated.predict(new)[0])
    assert loaded.report()["calibration"] == calibrated.report()["calibration"]


def test_too_little_to_learn_from(translator: tl.Translator) -> None:
    new = study(20, 6)
    with pytest.raises(ValueError, match="has 1 rows; `calibrate` needs at least 2"):
        translator.calibrate(new[:1].copy())
    new.obsm["target"][1:] = np.nan
    with pytest.raises(ValueError, match="1 rows with a measured target"):
        translator.calibrate(new)


def test_another_panel_is_refused(translator: tl.Translator) -> None:
    new = study(20, 6)
    new.obsm["target"] = new.obsm["target"][:, :5]
    new.uns["target"]["gene_names"] = new.uns["target"]["gene_names"][:5]
    with pytest.raises(ValueError, match="has 5 genes, the translator predicts 30"):
        translator.calibrate(new)
