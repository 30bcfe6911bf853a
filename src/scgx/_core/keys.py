"""Every key that a verb writes, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class LogFoldChangeKeys:
    """Where :func:`scgx.pp.log_fold_change` writes."""

    layer: str = "log_fc"
    uns: str = "log_fc"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Use one name for the layer and its record."""
        return cls(layer=key_added, uns=key_added)


@dataclass(frozen=True)
class TargetKeys:
    """Where :func:`scgx.pp.add_target` writes."""

    obsm: str = "target"
    uns: str = "target"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Use one name for the matrix and its record."""
        return cls(obsm=key_added, uns=key_added)


@dataclass(frozen=True)
class TranslateKeys:
    """Where :func:`scgx.tl.translate` writes."""

    obsm: str = "X_translated"
    layer: str = "translated"
    uns: str = "translate"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Name the result; ``"translated"`` gives the defaults."""
        if key_added == cls.layer:
            return cls()
        return cls(obsm=f"X_{key_added}", layer=key_added, uns=key_added)


@dataclass(frozen=True)
class ImportanceKeys:
    """Where :func:`scgx.tl.gene_importance` writes."""

    var: str = "importance"
    varm: str = "importance"
    uns: str = "importance"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Use one name for the column, the groups' matrix and the record."""
        return cls(var=key_added, varm=key_added, uns=key_added)
