from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest

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
