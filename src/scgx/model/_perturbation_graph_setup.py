"""What the graph network learns from: conditions of a screen as rows of an AnnData of scgx's own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField
from scvi.model.base import BaseModelClass

from scgx._core import by_rows, dense_rows, examples, layer_or_x, require_finite, require_unique
from scgx._core.perturbation_cells import PerturbationColumns, perturbation_table, set_means, sort_cells
from scgx.model._fields import QuietObsmField
from scgx.model._setups import Setups
from scgx.module import APPLIED, CHANGE, CONTROL, PerturbationNodes, perturbation_nodes, standardised

#: columns of ``.obs``: the condition of a row, and whether the row is its mean
LABEL, IS_MEAN = "label", "is_mean"
FEWEST_PERTURBATIONS = 3

_SETUPS: Setups[tuple[PerturbationColumns, str | None]] = Setups()


def remember(adata: AnnData, columns: PerturbationColumns, layer: str | None) -> None:
    """Keep what :meth:`scgx.model.PerturbationGraph.setup_anndata` was told; checks that it is there."""
    require_unique(adata.var_names, "adata.var_names")
    layer_or_x(adata, layer)
    perturbation_table(adata, columns)
    _SETUPS.remember(adata, (columns, layer))


def recalled(adata: AnnData) -> tuple[PerturbationColumns, str | None]:
    """What set-up was told."""
    return _SETUPS.recall(adata, "adata", "`PerturbationGraph.setup_anndata(adata, …)`")


def screen_rows(adata: AnnData, columns: PerturbationColumns, layer: str | None, *, n_cells: int, seed: int) -> AnnData:
    """Rows of every condition: its mean change first, then of ``n_cells`` cells (fewer where there are fewer).

    ``.X`` is what the network reads of the controls: their mean, or for a cell a control cell that was drawn; the change is
    taken against the mean of the controls in either case, for what a cell was before is not known. ``.obsm["applied"]``
    has a column a perturbation, named in ``.uns``. Genes are sorted by name; ``.uns`` has the rows of the control cells in
    ``adata`` and their mean profile, ``"control_rows"`` and ``"usual"``.

    Raises
    ------
    ValueError
        If there are fewer than three perturbations, or values are not finite.
    """
    sorted_cells = sort_cells(perturbation_table(adata, columns), min_controls=1)
    labels = sorted_cells.table["label"]
    if len(labels) < FEWEST_PERTURBATIONS:
        raise ValueError(
            f".obs[{columns.perturbation!r}] has {len(labels)} perturbations beside {columns.control!r}: "
            f"{examples(labels)}; the graph network needs at least {FEWEST_PERTURBATIONS} to learn from."
        )
    X, order = by_rows(layer_or_x(adata, layer)), np.argsort(adata.var_names.to_numpy(dtype=str))
    means = set_means(X, [sorted_cells.controls[0], *sorted_cells.cells])[:, order]
    require_finite(means, "the mean profiles of `adata`")
    rng = np.random.default_rng(seed)
    mean, names = means[0], sorted({name for row in sorted_cells.table["names"] for name in row})
    control, change, obs = [], [], []
    for row, cells in enumerate(sorted_cells.cells):
        drawn = np.sort(rng.choice(cells, min(n_cells, len(cells)), replace=False))
        start = rng.choice(sorted_cells.controls[0], len(drawn))
        control += [mean[None], dense_rows(X, start, order)] if len(drawn) else [mean[None]]
        change += (
            [means[[row + 1]] - mean, dense_rows(X, drawn, order) - mean] if len(drawn) else [means[[row + 1]] - mean]
        )
        obs += [(row, labels[row], k == 0) for k in range(len(drawn) + 1)]
    frame = pd.DataFrame(obs, columns=["row", LABEL, IS_MEAN], index=[f"row{k}" for k in range(len(obs))])
    applied = np.array([[name in of for name in names] for of in sorted_cells.table["names"]], dtype=np.float32)
    return AnnData(
        np.concatenate(control).astype(np.float32),
        obs=frame,
        var=pd.DataFrame(index=adata.var_names[order]),
        obsm={APPLIED: applied[frame["row"]], CHANGE: np.concatenate(change).astype(np.float32)},
        uns={
            APPLIED: np.array(names),
            CHANGE: adata.var_names.to_numpy(dtype=str)[order],
            "control_rows": sorted_cells.controls[0],
            "usual": mean,
        },
    )


def register(model: type[BaseModelClass], rows: AnnData, columns: PerturbationColumns, layer: str | None) -> None:
    """Make what :func:`screen_rows` gave known to a model class; writes a key to its ``.uns``."""
    asked = {key: asdict(columns)[key] for key in ("control", "separator")}
    arguments = model._get_setup_method_args(
        cls=model, adata=None, perturbation_key=columns.perturbation, layer=layer, **asked
    )
    fields = [QuietObsmField(key) for key in (APPLIED, CHANGE)]
    manager = AnnDataManager([LayerField(CONTROL, None, is_count_data=False), *fields], setup_method_args=arguments)
    manager.register_fields(rows)
    model.register_manager(manager)


def known_features(features: pd.DataFrame | None) -> pd.DataFrame | None:
    """Features with text as names; a ValueError if names are doubled or values not finite."""
    if features is None:
        return None
    named = features.set_axis(features.index.astype(str))
    require_unique(named.index, "the names of `features`")
    require_finite(named.to_numpy(dtype=np.float64), "`features`")
    return named


def nodes_of(
    features: pd.DataFrame | None, known: np.ndarray, further: np.ndarray, n_neighbors: int
) -> PerturbationNodes:
    """Perturbations and their edges; nothing is known of those that ``features`` lack."""
    if features is None:
        return perturbation_nodes(np.zeros((len(known), 0)), np.zeros((len(further), 0)), n_neighbors)
    a, b = (features.reindex(names).fillna(0).to_numpy(dtype=np.float64) for names in (known, further))
    return perturbation_nodes(a, b, n_neighbors)


def embedding_of(given: Any, genes: np.ndarray, controls: AnnData) -> np.ndarray | None:
    """Embeddings of genes (g × d, standardised) from an array, a frame by gene, or a model.

    Parameters
    ----------
    given
        Array in the order of ``controls.var_names``; frame with one row a gene; or an object with ``genes`` and
        ``get_gene_embeddings(adata, genes=…, average=True)``, whose embeddings are those in the context of the controls.
    genes
        Names of the genes wanted.
    controls
        Control cells.

    Raises
    ------
    ValueError
        If the rows of an array are not those of the genes, or less than half of the genes have an embedding.
    """
    if given is None:
        return None
    if hasattr(given, "get_gene_embeddings"):
        known = [gene for gene in genes if gene in set(map(str, given.genes))]
        values = given.get_gene_embeddings(controls, genes=known, average=True) if known else np.zeros((0, 1))
        given = pd.DataFrame(values, index=known)
    elif not isinstance(given, pd.DataFrame):
        if np.ndim(given) != 2 or len(given) != controls.n_vars:
            raise ValueError(
                f"`gene_embeddings` has shape {np.shape(given)}; expected {controls.n_vars} genes × d in the order of "
                "`adata.var_names`, or a DataFrame by gene."
            )
        given = pd.DataFrame(np.asarray(given), index=controls.var_names)
    found = np.isin(genes, given.index.astype(str))
    if found.mean() < 0.5:
        raise ValueError(f"`gene_embeddings` has {int(found.sum())} of {len(genes)} genes; at least half are needed.")
    return standardised(given.set_axis(given.index.astype(str)).reindex(genes).to_numpy(dtype=np.float64))
