"""Every key that a verb writes, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class _OneName:
    """Keys that ``key_added`` names all alike."""

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Use one name for every field."""
        return cls(**dict.fromkeys((field.name for field in fields(cls)), key_added))


@dataclass(frozen=True)
class LogFoldChangeKeys(_OneName):
    """Where :func:`scgx.pp.log_fold_change` writes."""

    layer: str = "log_fc"
    uns: str = "log_fc"


@dataclass(frozen=True)
class TargetKeys(_OneName):
    """Where :func:`scgx.pp.add_target` writes."""

    obsm: str = "target"
    uns: str = "target"


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
class ImportanceKeys(_OneName):
    """Where :func:`scgx.tl.gene_importance` writes."""

    var: str = "importance"
    varm: str = "importance"
    uns: str = "importance"


@dataclass(frozen=True)
class ReactomeKeys:
    """Where :func:`scgx.pp.reactome` writes."""

    varm: str = "reactome"
    reliability: str = "reactome_reliability"
    uns: str = "reactome"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Use one name for the matrix, the column of reliabilities and the record."""
        return cls(varm=key_added, reliability=f"{key_added}_reliability", uns=key_added)


@dataclass(frozen=True)
class PredictedReactomeKeys(_OneName):
    """Where :func:`scgx.tl.predict_reactome` writes."""

    varm: str = "reactome_predicted"
    uns: str = "reactome_predicted"


@dataclass(frozen=True)
class GeneMapKeys(_OneName):
    """Where :func:`scgx.tl.map_genes` writes."""

    varm: str = "gene_map"
    uns: str = "gene_map"


@dataclass(frozen=True)
class TransferLabelsKeys:
    """Where :func:`scgx.tl.transfer_labels` writes; ``label`` is the name of the labels."""

    obs: str
    obsm: str
    uns: str = "transfer_labels"

    @classmethod
    def from_label(cls, label: str, key_added: str | None = None) -> Self:
        """Name the column and the probabilities after the label, or after ``key_added``."""
        if key_added is None:
            return cls(obs=f"{label}_transferred", obsm=f"{label}_probability")
        return cls(obs=key_added, obsm=f"{key_added}_probability", uns=key_added)


@dataclass(frozen=True)
class TransferResponseKeys:
    """Where :func:`scgx.tl.transfer_response` writes."""

    layer: str = "response_transferred"
    uns: str = "transfer_response"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Name the result; ``"response_transferred"`` gives the defaults."""
        return cls() if key_added == cls.layer else cls(layer=key_added, uns=key_added)


@dataclass(frozen=True)
class ExperimentKeys(_OneName):
    """Where :func:`scgx.tl.suggest_experiments` writes."""

    uns: str = "suggested_experiments"


@dataclass(frozen=True)
class PerturbationKeys(_OneName):
    """Where :func:`scgx.tl.predict_perturbation` writes."""

    layer: str = "perturbation_predicted"
    uns: str = "perturbation_predicted"


@dataclass(frozen=True)
class EmbedKeys:
    """Where :func:`scgx.tl.embed` writes."""

    obsm: str = "X_xtrimogene"
    uns: str = "xtrimogene"

    @classmethod
    def from_key_added(cls, key_added: str) -> Self:
        """Name the matrix; its record goes without the ``X_``."""
        return cls(obsm=key_added, uns=key_added.removeprefix("X_"))
