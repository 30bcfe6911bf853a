"""What a screen is, and its drugs, as :class:`scgx.model.DrugBERT` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import examples, layer_or_x, require_key, require_unique
from scgx._core.molecules import morgan_fingerprints
from scgx._core.perturbation_cells import PerturbationColumns, perturbation_table
from scgx.model._setups import Setups
from scgx.module import name_bits

N_BITS = 2048


@dataclass(frozen=True)
class ScreenSetup:
    """Where a screen has what: columns of ``.obs``, that of drug classes, and the layer."""

    columns: PerturbationColumns
    class_key: str | None
    layer: str | None

    def to_plain(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Self:
        """The set-up of :meth:`to_plain`, or of JSON made of it."""
        columns = plain["columns"] | {"design": tuple(plain["columns"]["design"])}
        return cls(PerturbationColumns(**columns), plain["class_key"], plain["layer"])


class DrugBERTSetup:
    """How :class:`scgx.model.DrugBERT` is told what a screen has where."""

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        perturbation_key: str,
        control: str,
        context_key: str | None = None,
        dose_key: str | None = None,
        smiles_key: str | None = None,
        class_key: str | None = None,
        design_keys: Sequence[str] = (),
        layer: str | None = None,
    ) -> None:
        """Say what a screen, bulk or of single cells, has where; nothing is written to ``adata``.

        Parameters
        ----------
        adata
            Wells or cells × genes, controls among them; log-normalised expression.
        perturbation_key, control
            ``.obs`` column with the drug, and its value for controls.
        context_key
            ``.obs`` column with the cell line. Controls are matched by it.
        dose_key
            ``.obs`` column with positive doses; those of controls are not read.
        smiles_key
            ``.obs`` column with SMILES. Without it a drug is known by its name, and one never seen cannot be predicted.
        class_key
            ``.obs`` column with the class of the drug, such as its mechanism: a task of pre-training.
        design_keys
            ``.obs`` columns of the design: plate, vehicle, time. Controls are matched by them.
        layer
            Layer with the expression; ``None`` for ``.X``.

        Raises
        ------
        KeyError
            If a column or the layer is missing.
        ValueError
            If there are no controls or nothing else, or names of genes are doubled.
        """
        if isinstance(design_keys, str):
            design_keys = (design_keys,)
        columns = PerturbationColumns(
            perturbation_key,
            control,
            context=context_key,
            dose=dose_key,
            smiles=smiles_key,
            design=tuple(design_keys),
        )
        require_unique(adata.var_names, "adata.var_names")
        layer_or_x(adata, layer)
        perturbation_table(adata, columns)
        if class_key is not None:
            require_key(adata.obs.columns, class_key, ".obs", "class_key")
        _SETUPS.remember(adata, ScreenSetup(columns, class_key, layer))


_SETUPS: Setups[ScreenSetup] = Setups()


def setup_of(adata: AnnData, argument: str = "adata") -> ScreenSetup:
    """What set-up was told; a ValueError without set-up."""
    return _SETUPS.recall(adata, argument, f"`DrugBERT.setup_anndata({argument}, …)`")


def drug_classes(adata: AnnData, setup: ScreenSetup) -> np.ndarray:
    """Class of the drug of each row as text; empty where unknown."""
    if setup.class_key is None:
        return np.full(adata.n_obs, "", dtype=object)
    column = adata.obs[setup.class_key]
    return np.where(column.isna(), "", column.astype(str).to_numpy(dtype=object))


def vocabulary_of(adata: AnnData, setup: ScreenSetup) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Genes, cell lines and classes of drugs of a screen, each sorted."""
    table = perturbation_table(adata, setup.columns)
    treated = (table["label"] != "").to_numpy()
    classes = set(drug_classes(adata, setup)[treated]) - {""}
    genes = np.sort(adata.var_names.to_numpy(dtype=str))
    return genes, tuple(sorted(set(table["context"][treated]))), tuple(sorted(classes))


def drug_bits(names: pd.Series, smiles: pd.Series, *, has_smiles: bool) -> pd.DataFrame:
    """Fingerprint of each drug, one row a name; without SMILES some bits that its name draws.

    Raises
    ------
    ValueError
        If a drug has several SMILES, or one cannot be read.
    """
    if not has_smiles:
        drugs = np.unique(names.to_numpy(dtype=str))
        return pd.DataFrame(name_bits(drugs, N_BITS), index=drugs)
    table = pd.DataFrame({"name": names.to_numpy(dtype=str), "smiles": smiles.to_numpy(dtype=str)}).drop_duplicates()
    twice = table.loc[table["name"].duplicated(), "name"]
    if len(twice):
        raise ValueError(f"{len(twice)} drugs have more than one SMILES: {examples(twice)}; give each one.")
    try:
        bits = morgan_fingerprints(table["smiles"], n_bits=N_BITS)
    except ValueError as error:
        raise ValueError(f"SMILES of the drugs {examples(table['name'])}: {error}") from error
    return pd.DataFrame(bits, index=table["name"].to_numpy(dtype=str)).sort_index()
