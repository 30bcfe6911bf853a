from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import layer_or_x, match_genes, require_key, require_unique
from scgx.model._setups import Setups
from scgx.model._xtrimogene_cells import Cells, InputScale


@dataclass(frozen=True)
class Setup:
    """Where values and metadata are; see :meth:`scgx.model.XTrimoGene.setup_anndata`."""

    layer: str | None = None
    input_scale: InputScale = "counts"
    metadata_keys: tuple[str, ...] = ()

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Self:
        """The set-up of plain values."""
        return cls(plain["layer"], plain["input_scale"], tuple(plain["metadata_keys"]))


@dataclass(frozen=True)
class Vocabulary:
    """Genes by name, and categories of the metadata; a category's number is its position plus one, 0 is unknown."""

    genes: np.ndarray
    n_trained: int
    """Genes that the model was trained with; those behind were added later."""
    categories: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, adata: AnnData, setup: Setup) -> Self:
        """The vocabulary of data to train on."""
        require_unique(adata.var_names, "adata.var_names")
        categories = {key: sorted(adata.obs[key].dropna().astype(str).unique()) for key in setup.metadata_keys}
        return cls(adata.var_names.to_numpy(dtype=str), adata.n_vars, categories)

    def cells(
        self,
        adata: AnnData,
        setup: Setup,
        *,
        layer: str | None = None,
        hidden: np.ndarray | None = None,
    ) -> tuple[Cells, np.ndarray]:
        """Rows of ``adata`` as numbers of the vocabulary, and which of its genes were measured and are not hidden.

        Parameters
        ----------
        adata
            Genes in any order; metadata columns may be missing, and new categories are unknown.
        setup
            Of the model.
        layer
            Layer to use; ``None``: the one of ``setup``.
        hidden
            Numbers of genes to treat as not measured.

        Raises
        ------
        KeyError
            If there is no such layer.
        ValueError
            If names are doubled, or less than half of the genes are found.
        """
        match_genes(adata.var_names, pd.Index(self.genes[: self.n_trained]), what="`adata.var_names`")
        columns = pd.Index(self.genes).get_indexer(adata.var_names)
        if hidden is not None:
            columns = np.where(np.isin(columns, hidden), -1, columns)
        measured = np.zeros(len(self.genes), dtype=bool)
        measured[columns[columns >= 0]] = True
        matrix = layer_or_x(adata, layer if layer is not None else setup.layer)
        return Cells(matrix, columns, setup.input_scale, self._metadata(adata.obs, setup.metadata_keys)), measured

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """Numbers of genes; a KeyError that names those unknown."""
        numbers = pd.Index(self.genes).get_indexer(pd.Index(names))
        if (numbers < 0).any():
            unknown = [name for name, number in zip(names, numbers, strict=True) if number < 0]
            raise KeyError(
                f"{len(unknown)} of {len(numbers)} names are no genes of this model, for example {unknown[0]!r}; names like "
                f"{self.genes[0]!r} are. Add genes with `add_genes`."
            )
        return numbers

    def to_plain(self) -> dict[str, Any]:
        """Lists and dictionaries."""
        return asdict(self) | {"genes": self.genes.tolist()}

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Self:
        """The vocabulary of :meth:`to_plain`."""
        return cls(np.array(plain["genes"], dtype=str), plain["n_trained"], plain["categories"])

    def _metadata(self, obs: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
        codes = np.zeros((len(obs), len(keys)), dtype=np.int64)
        for i, key in enumerate(keys):
            if key in obs:
                codes[:, i] = 1 + pd.Index(self.categories[key]).get_indexer(pd.Index(obs[key].astype(str)))
        return codes


class XTrimoGeneSetup:
    """How :class:`scgx.model.XTrimoGene` is told where values and metadata are."""

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        layer: str | None = None,
        input_scale: InputScale = "counts",
        metadata_keys: Sequence[str] = (),
    ) -> None:
        """Say where values and metadata are; nothing is written to ``adata``, and nothing is copied.

        Parameters
        ----------
        adata
            Cells × genes, in memory or backed. CSR is best: it is never made dense.
        layer
            Layer to use; ``None`` means ``.X``.
        input_scale
            ``"counts"`` (normalised to 10,000 a cell, then log1p), or ``"log1p"`` (done already).
        metadata_keys
            Categorical ``.obs`` columns that become tokens, such as tissue, platform and condition. A missing value is
            unknown; so is a column or category that a query lacks.

        Raises
        ------
        KeyError
            If a layer or column is missing.
        ValueError
            If gene names are doubled, or ``input_scale`` is unknown.
        """
        if input_scale not in ("counts", "log1p"):
            raise ValueError(f"`input_scale` must be 'counts' or 'log1p'; found {input_scale!r}.")
        keys = (metadata_keys,) if isinstance(metadata_keys, str) else tuple(metadata_keys)
        for key in keys:
            require_key(adata.obs.columns, key, ".obs", "metadata_keys")
        layer_or_x(adata, layer)
        require_unique(adata.var_names, "adata.var_names")
        _SETUPS.remember(adata, Setup(layer, input_scale, keys))


_SETUPS: Setups[Setup] = Setups()


def setup_of(adata: AnnData) -> Setup:
    """What set-up was told; a ValueError without set-up."""
    return _SETUPS.recall(adata, "adata", "`XTrimoGene.setup_anndata(adata)`")
