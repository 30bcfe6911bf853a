"""What a trained :class:`scgx.model.UGE` gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from scgx._core import examples
from scgx.model._blocks import compute_rows
from scgx.model._species import Setup, Vocabulary
from scgx.module import UGEModule


class UGEPredictions:
    """Methods that need only the module, the vocabulary and the task."""

    module: UGEModule
    is_trained: bool
    _vocabulary: Vocabulary
    _setup: Setup
    _task: dict[str, Any]

    @property
    def genes(self) -> dict[str, np.ndarray]:
        """Names of each species' genes, in the order of results."""
        return self._vocabulary.names

    def get_latent_representation(self, adata: AnnData, *, species: str, recenter: bool = False) -> np.ndarray:
        """Latent vector of each row, n_obs × d, float32.

        Parameters
        ----------
        adata
            Profiles of one species, backed or in memory; the layer named at set-up is used. Genes are found by name, in
            any order; missing ones, and NaN, count as not measured.
        species
            Name of the species.
        recenter
            Take each gene's centre from the rows of ``adata`` and not from training: for a study of its own that holds
            different samples (several organs), which removes what differs between studies.

        Raises
        ------
        KeyError
            If the model does not know the species.
        ValueError
            If the model is not trained, less than half of the genes are found, or a row has no measured gene.
        """
        return self._by_block(adata, species, recenter, self.module.latent)

    def get_gene_embeddings(self, names: Sequence[str] | None = None, *, species: str | None = None) -> np.ndarray:
        """Embeddings of genes, n × d, float32; tied orthologues have the same.

        Parameters
        ----------
        names
            Genes; ``None``: all of :attr:`genes` of the species.
        species
            Name of the species; ``None``: that with most of the names.

        Raises
        ------
        KeyError
            If the species or a gene is unknown.
        ValueError
            If neither names nor species are given, or two species have equally many of the names.
        """
        if species is None:
            species = self._vocabulary.species_of(names)
        self._vocabulary.number(species)
        known = pd.Index(self._vocabulary.names[species])
        position = np.arange(len(known)) if names is None else known.get_indexer(pd.Index(names))
        if (position < 0).any():
            unknown = [name for name, at in zip(names or (), position, strict=True) if at < 0]
            raise KeyError(
                f"{len(unknown)} of {len(position)} names are no genes of {species!r} in this model: "
                f"{examples(unknown, 3)}; names like {examples(known, 3)} are. Add them with `add_genes`."
            )
        weights = self.module.network.gene.weight.detach().cpu().numpy()
        return np.asarray(weights[self._vocabulary.columns[species][position]])

    def predict_probabilities(self, adata: AnnData, *, species: str, recenter: bool = False) -> pd.DataFrame:
        """Probability of each class, rows × classes; arguments and errors of :meth:`get_latent_representation`.

        Raises
        ------
        ValueError
            If the model was not fine-tuned on classes.
        """
        self._require_task("classes", "label_key")
        probability = self._by_block(
            adata, species, recenter, lambda *x: self.module.predict(self.module.latent(*x)).softmax(1)
        )
        return pd.DataFrame(probability, index=adata.obs_names, columns=self._task["classes"])

    def predict_labels(self, adata: AnnData, *, species: str, recenter: bool = False) -> pd.Series:
        """The most probable class of each row; see :meth:`predict_probabilities`."""
        return self.predict_probabilities(adata, species=species, recenter=recenter).idxmax(axis=1)

    def predict_values(self, adata: AnnData, *, species: str, recenter: bool = False) -> pd.Series:
        """The number that the model was fine-tuned to predict (``value_key``), a row each.

        Raises
        ------
        ValueError
            If the model was not fine-tuned on numbers.
        """
        self._require_task("center", "value_key")
        scaled = self._by_block(adata, species, recenter, lambda *x: self.module.predict(self.module.latent(*x)))
        return pd.Series(scaled[:, 0] * self._task["scale"] + self._task["center"], index=adata.obs_names)

    def transfer_response(
        self, treated: AnnData, control: AnnData, query: AnnData, *, source: str, species: str
    ) -> pd.DataFrame:
        """Response of ``species`` to a treatment that was measured in ``source``, by latent arithmetic.

        With means over rows, δ_drug = z(treated) − z(control) and δ_species = z(query) − z(control), the paper's
        z(control) + δ_drug + δ_species is z(query) + δ_drug. It is decoded, and so is z(query); the difference is the
        response. What the decoder cannot reconstruct of the query so leaves the response alone.

        Parameters
        ----------
        treated, control
            Rows of the source species with and without the treatment.
        query
            Untreated rows of the species to predict.
        source, species
            Names of the two species.

        Returns
        -------
        Change of each gene, on the scale of the values, query rows × :attr:`genes` of ``species``.

        Raises
        ------
        KeyError, ValueError
            As in :meth:`get_latent_representation`.
        """
        z = {name: self.get_latent_representation(x, species=source) for name, x in (("t", treated), ("c", control))}
        shift = torch.from_numpy(z["t"].mean(0) - z["c"].mean(0)).to(self.module.device)
        number, columns = self._vocabulary.number(species), self._vocabulary.columns[species]

        def change(*x: Tensor) -> Tensor:
            before = self.module.latent(*x)
            decoded = self.module.decode(before + shift, number) - self.module.decode(before, number)
            return decoded[:, columns]

        response = self._by_block(query, species, False, change)
        return pd.DataFrame(response, index=query.obs_names, columns=self._vocabulary.names[species])

    def _by_block(self, adata: AnnData, species: str, recenter: bool, compute: Callable[..., Tensor]) -> np.ndarray:
        """Apply ``compute(values, species, external)`` to the rows of ``adata``, block by block."""
        self._require_trained()
        number, device = self._vocabulary.number(species), self.module.device
        names, columns = self._vocabulary.names[species], self._vocabulary.columns[species]
        # genes added later are no part of the overlap that is asked for
        here = (np.arange(len(names)) < self._vocabulary.n_trained[species]) | np.isin(names, adata.var_names)
        names, at = names[here], torch.from_numpy(columns[here]).to(device)
        layer, external_layer = self._setup.layer, self._setup.external_layer
        own = self.module.center[number, at]
        shift = own - _mean(adata, layer, names, device) if recenter else torch.zeros_like(own)
        external = _external(adata, external_layer, names, device)
        done = 0

        def block(x: Tensor) -> Tensor:
            nonlocal done
            values = torch.full((len(x), self._vocabulary.n_columns), torch.nan, device=device)
            values[:, at] = x + shift
            tokens = None
            if external is not None:
                tokens = torch.zeros(values.shape, device=device)
                tokens[:, at] = external[done : done + len(x)]
            done += len(x)
            return compute(values, torch.full((len(x),), number, device=device), tokens)

        return compute_rows(adata, layer, names, block, device)

    def _require_trained(self) -> None:
        if not self.is_trained:
            raise ValueError("this UGE is not trained; call `.train()`, or load one that is.")

    def _require_task(self, field: str, argument: str) -> None:
        if field not in self._task:
            raise ValueError(f"this UGE was not fine-tuned with `{argument}`; call `.fine_tune({argument}=…)` first.")


def _external(adata: AnnData, layer: str | None, names: np.ndarray, device: torch.device) -> Tensor | None:
    if layer is None:
        return None
    return torch.from_numpy(compute_rows(adata, layer, names, lambda x: x, device)).nan_to_num().to(device)


def _mean(adata: AnnData, layer: str | None, names: np.ndarray, device: torch.device) -> Tensor:
    values = torch.from_numpy(compute_rows(adata, layer, names, lambda x: x, device))
    return values.nanmean(0).to(device)
