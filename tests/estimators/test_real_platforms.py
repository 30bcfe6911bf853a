"""Skill over the training gene mean on real arrays: what earlier experiments reached must be reached."""

from __future__ import annotations

import numpy as np
import pytest

from scgx import datasets
from scgx.estimators import MLP, PLS, BaseTranslator, KernelRidge, MatrixCompletion, TargetForest
from scgx.estimators._base import group_folds

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray]:
    platforms = datasets.load("nci60_4arrays")
    source, target = platforms["hgu95"], platforms["hgu133p2"]
    return np.asarray(source.X, dtype=np.float32), np.asarray(target[source.obs_names].X, dtype=np.float32)


@pytest.mark.parametrize(
    ("translator", "least"),
    [
        pytest.param(KernelRidge(kernel="linear"), 0.44, id="ridge"),
        pytest.param(KernelRidge(), 0.45, id="kernel_ridge"),
        pytest.param(PLS(), 0.42, id="pls"),
        pytest.param(MatrixCompletion(), 0.42, id="matrix_completion"),
        pytest.param(TargetForest(), 0.33, id="forest"),
        pytest.param(MLP(), 0.42, id="mlp"),
    ],
)
def test_left_out_cell_lines_are_predicted(
    arrays: tuple[np.ndarray, np.ndarray], translator: BaseTranslator, least: float
) -> None:
    X, Y = arrays
    error = reference = 0.0
    for train, test in group_folds(len(X), None, n_folds=3, seed=0):
        error += np.square(Y[test] - translator.fit(X[train], Y[train]).predict(X[test])).sum()
        reference += np.square(Y[test] - Y[train].mean(axis=0)).sum()
    assert 1 - error / reference > least
