"""Profiles of several species as rows of one matrix, whose columns are genes; orthologues share a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import check_source, dense_rows, layer_or_x, match_genes, require_key, require_unique
from scgx._core.orthologs import ortholog_pairs

if TYPE_CHECKING:
    from mudata import MuData

Orthologs = pd.DataFrame | Literal["symbol"]
_QUANTILES = np.linspace(0.01, 0.99, 64)


@dataclass(frozen=True)
class Vocabulary:
    """Genes of each species and their columns, which are also their rows in the embedding table."""

    names: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]
    n_trained: dict[str, int]
    """Genes of each species that the model was trained with; those behind were added later."""

    @property
    def species(self) -> list[str]:
        """Species, in the order of their numbers."""
        return list(self.names)

    @property
    def n_columns(self) -> int:
        """Columns in all."""
        return 1 + max(int(columns.max()) for columns in self.columns.values())

    @classmethod
    def of(cls, names: Mapping[str, pd.Index], orthologs: Orthologs | None) -> Self:
        """Number the genes; one-to-one orthologues of species named before share their number.

        Raises
        ------
        ValueError
            If names are doubled, or no gene has an orthologue.
        """
        columns: dict[str, np.ndarray] = {}
        n = 0
        for species, genes in names.items():
            require_unique(genes, f"the genes of {species!r}")
            own = np.full(len(genes), -1)
            for other in columns:
                if orthologs is None:
                    break
                pairs = ortholog_pairs(genes, names[other], orthologs)
                partner = columns[other][pairs.reference]
                new = (own[pairs.query] < 0) & ~np.isin(partner, own)
                own[pairs.query[new]] = partner[new]
            free = own < 0
            own[free] = n + np.arange(free.sum())
            columns[species], n = own, n + int(free.sum())
        arrays = {species: genes.to_numpy(dtype=str) for species, genes in names.items()}
        return cls(arrays, columns, {species: len(genes) for species, genes in names.items()})

    @classmethod
    def read(cls, names: dict[str, list[str]], columns: dict[str, list[int]], n_trained: dict[str, int]) -> Self:
        """The vocabulary of plain lists."""
        return cls(
            {species: np.array(genes, dtype=str) for species, genes in names.items()},
            {species: np.array(numbers, dtype=int) for species, numbers in columns.items()},
            n_trained,
        )

    def number(self, species: str) -> int:
        """Number of a species; a KeyError if the model does not know it."""
        require_key(self.names, species, "the model's species", "species")
        return self.species.index(species)

    def species_of(self, names: Sequence[str] | None) -> str:
        """Species with most of the names; a ValueError if two have equally many."""
        wanted = pd.Index([] if names is None else names)
        found = {species: int(wanted.isin(genes).sum()) for species, genes in self.names.items()}
        best, second = sorted(found.values(), reverse=True)[:2]
        if best == second:
            raise ValueError(f"the names do not tell the species (names found: {found}); give `species`.")
        return max(found, key=found.__getitem__)

    def with_genes(self, species: str, names: np.ndarray, columns: np.ndarray) -> Self:
        """The vocabulary with further genes of a species."""
        return type(self)(
            self.names | {species: np.concatenate([self.names[species], names])},
            self.columns | {species: np.concatenate([self.columns[species], columns])},
            self.n_trained,
        )


@dataclass(frozen=True)
class Setup:
    """Where values and labels are; see :meth:`scgx.model.UGE.setup_mudata`."""

    layer: str | None = None
    external_layer: str | None = None
    group_key: str | None = None
    anchor_key: str | None = None
    orthologs: Orthologs | None = None

    def check(self, parts: Mapping[str, AnnData]) -> None:
        """Raise a KeyError for what is missing, a ValueError for fewer than two species or too few rows."""
        if len(parts) < 2:
            raise ValueError(f"at least 2 species are needed; found {len(parts)}: {', '.join(parts)}.")
        for species, adata in parts.items():
            if adata.n_obs < 3:
                raise ValueError(f"species {species!r} has {adata.n_obs} rows; at least 3 are needed.")
            for layer in (self.layer, self.external_layer):
                layer_or_x(adata, layer)
            for argument in ("group_key", "anchor_key"):
                key = getattr(self, argument)
                if key is not None:
                    require_key(adata.obs.columns, key, f".obs of {species!r}", argument)


def split_species(adata: AnnData, species_key: str, layer: str | None) -> dict[str, AnnData]:
    """The rows of each species, with the genes that were measured in it (not NaN in all of its rows)."""
    require_key(adata.obs.columns, species_key, ".obs", "species_key")
    parts = {}
    for species in adata.obs[species_key].dropna().unique():
        rows = np.flatnonzero((adata.obs[species_key] == species).to_numpy())
        measured = np.isfinite(dense_rows(layer_or_x(adata, layer), rows)).any(axis=0)
        parts[str(species)] = adata[rows, measured].copy()
    return parts


def join_modalities(mdata: MuData, modalities: str | Sequence[str], setup: Setup) -> AnnData:
    """One AnnData of a species' modalities, rows as in the first; features of further ones are ``modality:feature``.

    Rows that a further modality lacks are NaN there; its ``.X`` stands for the layer of values, and it has no external
    tokens.
    """
    first, *others = [modalities] if isinstance(modalities, str) else modalities
    for modality in (first, *others):
        require_key(mdata.mod.keys(), modality, ".mod", "species")
    joined = mdata.mod[first]
    for modality in others:
        other = mdata.mod[modality].copy()
        other.var_names = [f"{modality}:{name}" for name in other.var_names]
        position = other.obs_names.get_indexer(joined.obs_names)
        block = np.full((joined.n_obs, other.n_vars), np.nan, dtype=np.float32)
        block[position >= 0] = dense_rows(other.X, position[position >= 0])
        further = AnnData(block, obs=pd.DataFrame(index=joined.obs_names), var=pd.DataFrame(index=other.var_names))
        if setup.layer is not None:
            further.layers[setup.layer] = block
        if setup.external_layer is not None:
            further.layers[setup.external_layer] = np.zeros_like(block)
        joined = ad.concat([joined, further], axis=1, merge="first")
    return joined


def species_rows(
    parts: Mapping[str, AnnData], vocabulary: Vocabulary, setup: Setup, task_key: str | None = None
) -> AnnData:
    """Rows of all species, values in ``.X`` (NaN where not measured), labels as text and numbers in ``.obs``.

    Raises
    ------
    KeyError
        If a species, layer or column is missing.
    ValueError
        If less than half of a species' genes are found, values are infinite, or a row is empty.
    """
    blocks, external, frames = [], [], []
    keys = {"group": setup.group_key, "anchor": setup.anchor_key, "task": task_key}
    for species, adata in parts.items():
        number = vocabulary.number(species)
        what = f"the genes of {species!r}"
        match = match_genes(adata.var_names, pd.Index(vocabulary.names[species]), what=what)
        columns = vocabulary.columns[species][match.found]
        X = np.full((adata.n_obs, vocabulary.n_columns), np.nan, dtype=np.float32)
        X[:, columns] = dense_rows(layer_or_x(adata, setup.layer), columns=match.position)
        check_source(X, np.arange(adata.n_obs))
        blocks.append(X)
        if setup.external_layer is not None:
            tokens = np.zeros(X.shape, dtype=np.float32)
            tokens[:, columns] = dense_rows(layer_or_x(adata, setup.external_layer), columns=match.position)
            external.append(tokens)
        frame = pd.DataFrame({"species": number}, index=[f"{species}:{name}" for name in adata.obs_names])
        for name, key in keys.items():
            if key is not None and key in adata.obs:
                frame[name] = adata.obs[key].astype(object).to_numpy()
        frames.append(frame)
    obsm = {"external": np.concatenate(external)} if external else {}
    rows = AnnData(np.concatenate(blocks), obs=pd.concat(frames), obsm=obsm)
    rows.obsm["shape"] = _shapes(rows.X, rows.obs["species"].to_numpy())
    return rows


def _shapes(X: np.ndarray, species: np.ndarray) -> np.ndarray:
    """Quantiles of each row, minus their mean in the species: what can be compared without knowing any gene."""
    shapes = np.nanquantile(X, _QUANTILES, axis=1).T.astype(np.float32)
    for number in np.unique(species):
        shapes[species == number] -= shapes[species == number].mean(axis=0)
    return shapes


def codes(labels: pd.Series | None, n: int) -> tuple[np.ndarray, list[str]]:
    """Numbers of labels (−1 where missing, or for all without labels) and the labels, sorted."""
    if labels is None:
        return np.full(n, -1), []
    categories = pd.Categorical(labels.where(labels.isna(), labels.astype(str)))
    return categories.codes.astype(int), [str(name) for name in categories.categories]
