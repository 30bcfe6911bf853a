from __future__ import annotations

import pandas as pd
import pytest

from scgx._core import require_key, require_unique


@pytest.mark.parametrize(
    ("names", "key", "message"),
    [
        pytest.param(["tissue", "plate"], "Tisue", r"nearest: 'tissue'", id="case and typing error"),
        pytest.param(
            ["a", "b", "c", "d", "e", "f"], "tissue", r"it has: 'a', 'b', 'c', 'd', 'e', …", id="nothing near"
        ),
        pytest.param([], "tissue", "it is empty", id="empty"),
        pytest.param([0, 1], "0", "nearest: 0", id="other type"),
        pytest.param([None, "a"], "none", "it has: 'a'", id="anndata 0.13 lists None in layers"),
    ],
)
def test_require_key_names_the_nearest(names: list, key: str, message: str) -> None:
    with pytest.raises(KeyError, match=rf"group_key='{key}' is not in \.obs; {message}"):
        require_key(names, key, ".obs", "group_key")


def test_require_key_takes_frames_and_indices() -> None:
    frame = pd.DataFrame({"tissue": [1]})
    require_key(frame, "tissue", ".obs", "on")
    require_key(frame.columns, "tissue", ".obs", "on")


def test_require_unique_names_each_once_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"adata\.var_names .* 2 occur more than once: 'b', 'c'; .*var_names_make_uni"):
        require_unique(pd.Index(list("abbbcc")), "adata.var_names")
    with pytest.raises(ValueError, match="obs_names_make_unique"):
        require_unique(pd.Index(["a", "a"]), "adata.obs_names")
    require_unique(pd.Index([]), "adata.var_names")
