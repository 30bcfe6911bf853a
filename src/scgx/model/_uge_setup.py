from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from scgx.model._setups import Setups
from scgx.model._species import Orthologs, Setup, join_modalities, split_species

if TYPE_CHECKING:
    from mudata import MuData

#: what set-up was told of each object, by id (AnnData has no hash); the user's object itself is not written to
_SETUPS: Setups[tuple[Setup, Callable[[Any], dict[str, AnnData]]]] = Setups()


class UGESetup:
    """How :class:`scgx.model.UGE` is told where species, genes and labels are."""

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        species_key: str,
        layer: str | None = None,
        external_layer: str | None = None,
        group_key: str | None = None,
        anchor_key: str | None = None,
    ) -> None:
        """Say where species are in one AnnData, whose genes are already common to them; nothing is written to it.

        Parameters
        ----------
        adata
            Rows of several species. A gene that is NaN in all rows of a species is not measured in it.
        species_key
            ``.obs`` column with the species.
        layer, external_layer, group_key, anchor_key
            See :meth:`setup_mudata`.

        Raises
        ------
        KeyError
            If a column or layer is missing.
        ValueError
            If there are fewer than two species, or fewer than three rows of one.
        """
        setup = Setup(layer, external_layer, group_key, anchor_key)
        _remember(adata, setup, lambda data: split_species(data, species_key, layer))

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        species: Mapping[str, str | Sequence[str]] | None = None,
        orthologs: Orthologs | None = None,
        layer: str | None = None,
        external_layer: str | None = None,
        group_key: str | None = None,
        anchor_key: str | None = None,
    ) -> None:
        """Say where species are in a MuData; nothing is written to it.

        Parameters
        ----------
        mdata
            A modality a species, or several (RNA first, then ATAC or protein of the same rows).
        species
            Modality of each species, or several: ``{"mouse": "mouse", "rat": ["rat_rna", "rat_protein"]}``. Features of
            further modalities are tokens named ``modality:feature``. ``None``: each modality is a species.
        orthologs
            Table of orthologues, or ``"symbol"`` (equal symbols, case ignored). One-to-one pairs share one embedding.
            ``None``: species have no gene in common, and only the similarity loss aligns them.
        layer
            Layer to use; ``None`` means ``.X``. Further modalities give ``.X``.
        external_layer
            Layer with a number a gene and row, such as 1 for the target of a perturbation, 0 for nothing to say.
        group_key
            ``.obs`` column of every species that validation must not split (donor, compound).
        anchor_key
            ``.obs`` column with labels that mean the same in all species (organs), missing where not known: rows
            with the same label are drawn together.

        Raises
        ------
        KeyError
            If a modality, column or layer is missing.
        ValueError
            If there are fewer than two species, or fewer than three rows of one.
        """
        setup = Setup(layer, external_layer, group_key, anchor_key, orthologs)
        names = {name: name for name in mdata.mod} if species is None else dict(species)
        _remember(mdata, setup, lambda data: {name: join_modalities(data, mods, setup) for name, mods in names.items()})


def parts_of(data: AnnData | MuData) -> tuple[Setup, dict[str, AnnData]]:
    """What set-up was told of ``data``, and its species; a ValueError without set-up."""
    setup, split = _SETUPS.recall(data, "data", "`UGE.setup_mudata` or `UGE.setup_anndata`")
    parts = split(data)
    setup.check(parts)
    return setup, parts


def _remember(data: AnnData | MuData, setup: Setup, split: Callable[[Any], dict[str, AnnData]]) -> None:
    setup.check(split(data))
    _SETUPS.remember(data, (setup, split))
