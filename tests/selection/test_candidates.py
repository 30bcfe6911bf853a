from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge

from scgx.estimators import KernelRidge, SklearnTranslator
from scgx.selection import AUTO, METHODS, NEEDS_SHARED_GENES, make_candidates

SHARED = np.array([[0, 1], [3, 2]])
NONE = np.empty((0, 2), dtype=int)


def test_auto_holds_what_the_documentation_says() -> None:
    names = ["mean", "same_gene", "ridge", "kernel_ridge", "same_gene+kernel_ridge", "pls", "sample_attention"]
    assert list(make_candidates("auto", pairs=SHARED, seed=0)) == names
    assert list(make_candidates(["auto"], pairs=SHARED, seed=0)) == names


def test_auto_leaves_out_what_needs_shared_genes_where_there_are_none() -> None:
    names = ["mean", "ridge", "kernel_ridge", "pls", "sample_attention"]
    assert list(make_candidates("auto", pairs=NONE, seed=0)) == names


_TRAINED = {"mlp", "seq2seq", "transplatformer", "anchored_transplatformer"}  # they take seconds, and have own tests


@pytest.mark.parametrize("name", [name for name in METHODS if name not in _TRAINED])
def test_every_method_predicts_a_panel_of_the_right_shape(name: str) -> None:
    """Each name gives a translator that fits 24 rows with gaps in the source and predicts finite values."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(24, 6)).astype(np.float32), rng.normal(3, 1, (24, 4)).astype(np.float32)
    X[2, 3] = np.nan
    tissue = np.repeat(["liver", "kidney"], 12)
    (made,) = make_candidates(name, pairs=SHARED, seed=0).values()
    predicted = made.fit(X, Y, tissue=tissue).predict(X[:7], tissue=tissue[:7])
    assert predicted.shape == (7, 4)
    assert predicted.dtype == np.float32
    assert np.isfinite(predicted).all()


def test_a_list_keeps_its_order_and_seed_and_pairs_are_handed_on() -> None:
    made = make_candidates(["kernel_ridge", "same_gene"], pairs=SHARED, seed=5)
    assert list(made) == ["kernel_ridge", "same_gene"]
    assert made["kernel_ridge"].seed == 5
    np.testing.assert_array_equal(made["same_gene"].pairs, SHARED)


def _pairs(name: str, shared: np.ndarray) -> list[np.ndarray]:
    parameters = METHODS[name](shared, 0).get_params()
    return [value for key, value in parameters.items() if key.split("__")[-1] == "pairs"]


def test_only_methods_that_need_shared_genes_hold_pairs_where_there_are_none() -> None:
    assert {name for name in METHODS if _pairs(name, NONE)} == set(NEEDS_SHARED_GENES)
    assert set(AUTO) <= set(METHODS)


def test_learned_methods_start_from_the_same_gene_where_panels_share_genes() -> None:
    for name in ("sample_attention", "anchored_transplatformer"):
        (pairs,) = _pairs(name, SHARED)
        np.testing.assert_array_equal(pairs, SHARED)


def test_a_regressor_goes_under_its_class_name() -> None:
    (wrapped,) = make_candidates(Lasso(0.1), pairs=NONE, seed=0).items()
    assert wrapped[0] == "Lasso"
    assert isinstance(wrapped[1], SklearnTranslator)
    own = KernelRidge(kernel="linear")
    assert make_candidates(own, pairs=NONE, seed=0) == {"KernelRidge": own}


@pytest.mark.parametrize(
    ("method", "error", "match"),
    [
        pytest.param("rigde", ValueError, r"`method` must be 'auto' or different names of .*found 'rigde'", id="typo"),
        pytest.param(["ridge", "ridge"], ValueError, "different names of", id="doubled"),
        pytest.param(["auto", "ridge"], ValueError, "different names of", id="auto-in-a-list"),
        pytest.param([], ValueError, r"found \[\]", id="empty"),
        pytest.param(3, TypeError, "found 3", id="number"),
        pytest.param(Ridge, TypeError, "a scikit-learn regressor; found <class", id="class-not-object"),
        pytest.param(None, TypeError, "found None", id="none"),
        pytest.param("same_gene", ValueError, r"\['same_gene'\] needs genes that both panels.*gene_key", id="unshared"),
    ],
)
def test_bad_methods_are_named(method: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make_candidates(method, pairs=NONE, seed=0)
