from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from scgx.estimators import Identity, RandomVectors, SynergyBoosting
from scgx.selection import SYNERGIES

matplotlib.use("Agg")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real data where there is none."""
    data_dir = os.environ.get("SCGX_DATA_DIR", "")
    if data_dir and Path(data_dir).is_dir():
        return
    skip = pytest.mark.skip(reason=f"SCGX_DATA_DIR={data_dir!r} is not a directory with the real data sets")
    for item in items:
        if item.get_closest_marker("realdata"):
            item.add_marker(skip)


@pytest.fixture
def unchanged_rng() -> Iterator[None]:
    """Fail a test whose code draws from or seeds numpy's global random state."""
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    yield
    np.testing.assert_equal(np.random.get_state(legacy=False), before)  # noqa: NPY002


@pytest.fixture(scope="session")
def simulate_screen() -> Callable[..., Any]:
    """The simulator of drug screens that the benchmark of synergy uses too."""
    path = Path(__file__).parents[1] / "benchmarks" / "synergy_screen.py"
    spec = importlib.util.spec_from_file_location("synergy_screen", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.simulate_screen


@pytest.fixture(scope="module")
def few_trees() -> Iterator[None]:
    """Let the controls of a benchmark of synergy grow 20 trees: enough to be beaten, and quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SYNERGIES, "one_hot", lambda seed: SynergyBoosting(Identity(), seed=seed, n_trees=20))
        patch.setitem(SYNERGIES, "random_vectors", lambda seed: SynergyBoosting(RandomVectors(), seed=seed, n_trees=20))
        yield
