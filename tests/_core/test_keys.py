from __future__ import annotations

import pytest

from scgx._core import LogFoldChangeKeys, TargetKeys, TranslateKeys


@pytest.mark.parametrize(
    ("kind", "default"), [(LogFoldChangeKeys, "log_fc"), (TargetKeys, "target"), (TranslateKeys, "translated")]
)
def test_the_default_name_gives_the_default_keys(kind: type, default: str) -> None:
    assert kind.from_key_added(default) == kind()


def test_another_name_leaves_no_key_of_the_first() -> None:
    default, other = TranslateKeys(), TranslateKeys.from_key_added("rnaseq")
    assert (other.obsm, other.layer, other.uns) == ("X_rnaseq", "rnaseq", "rnaseq")
    assert not {default.obsm, default.layer, default.uns} & {other.obsm, other.layer, other.uns}
