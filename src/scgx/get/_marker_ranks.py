from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import dense_rows, examples, layer_or_x, registered_target, require_key, require_same_target
from scgx.get._translated import translated


def marker_ranks(
    adata: AnnData,
    genes: Mapping[str, Sequence[str]] | Sequence[str],
    *,
    key: str = "translated",
    target_key: str = "target",
    layer: str | None = None,
    groupby: str | None = None,
) -> pd.DataFrame:
    """Rank marker genes within each profile, before and after translation.

    A translation that keeps the biology leaves the markers of an effect near the top of the profile, and lifts those
    that the source panel does not measure to where they belong.

    Parameters
    ----------
    adata
        Log fold changes after :func:`scgx.pp.add_target` and :func:`scgx.tl.translate`.
    genes
        Gene symbols, or lists of them by name such as :func:`scgx.datasets.marker_genes` returns. With ``gene_key`` in
        :func:`scgx.pp.add_target` these are values of that column, else feature names.
    key
        The ``key_added`` of :func:`scgx.tl.translate`.
    target_key
        The ``key_added`` of :func:`scgx.pp.add_target`. Without a registered target nothing is measured and features go
        by their names.
    layer
        Layer that holds the source's fold changes; ``None`` for ``.X``.
    groupby
        ``.obs`` column, for example the treatment: rank within the mean profile of each group instead of each row.

    Returns
    -------
    Tidy frame: ``profile`` (name of the row or group), ``set`` (name of the gene list, empty for a plain list),
    ``gene``, ``panel`` (``"source"``, ``"translated"``, ``"measured"``), ``log_fc``, ``rank`` (1 is the largest
    absolute log fold change of the profile), ``rank_up`` (1 is the most raised) and ``n_genes`` (ranked features of the
    profile: ranks of panels of different size are comparable as ``rank / n_genes``). Ties share their mean rank; of
    several probes of a gene that with the best ``rank`` counts. A gene that the panel lacks has NaN; a profile that was
    not measured has no ``"measured"`` rows, and a group's measured profile is the mean of its measured rows.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If no gene is on either panel, or translated and registered target have different genes.

    References
    ----------
    Cong et al., BMC Bioinformatics 2026, toxicogenomics characterisation: ranks among the raised genes.

    Examples
    --------
    >>> import scgx
    >>> source, target, _ = scgx.datasets.pbmc_panels()
    >>> scgx.pp.add_target(source, target)
    >>> scgx.tl.translate(source, method="ridge")
    >>> ranks = scgx.get.marker_ranks(source, ["CD3D", "LYZ"], groupby="bulk_labels")
    >>> sorted(ranks["panel"].unique())
    ['measured', 'source', 'translated']
    """
    sets = dict(genes) if isinstance(genes, Mapping) else {"": [genes] if isinstance(genes, str) else list(genes)}
    wanted = list(dict.fromkeys(gene for members in sets.values() for gene in members))
    panels = _panels(adata, key, target_key, layer)
    on_panel = np.unique(np.concatenate([names for _, names in panels.values()]))
    if not np.isin(wanted, on_panel).any():
        raise ValueError(
            f"`genes`: none of {examples(wanted)} is on either panel, whose genes are named like "
            f"{examples(on_panel, 3)}; give the panels' own identifiers."
        )
    if groupby is not None:
        require_key(adata.obs.columns, groupby, ".obs", "groupby")
    profile = adata.obs_names.to_series() if groupby is None else adata.obs[groupby]
    rows = profile.notna().to_numpy()
    labels = profile[rows].astype(str).to_numpy(dtype=str)
    ranked = [
        _ranked(values[rows], names, wanted, labels).assign(panel=panel) for panel, (values, names) in panels.items()
    ]
    members = pd.DataFrame([(name, gene) for name, listed in sets.items() for gene in listed], columns=["set", "gene"])
    frame = members.merge(pd.concat(ranked, ignore_index=True), on="gene")
    return frame[["profile", "set", "gene", "panel", "log_fc", "rank", "rank_up", "n_genes"]]


def _panels(adata: AnnData, key: str, target_key: str, layer: str | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values (rows × features) and the gene each feature measures, by panel."""
    result = translated(adata, key=key)
    source, predicted = dense_rows(layer_or_x(adata, layer)), np.asarray(result.X)
    if target_key not in adata.obsm:
        return {
            "source": (source, adata.var_names.to_numpy(dtype=str)),
            "translated": (predicted, result.var_names.to_numpy(dtype=str)),
        }
    measured, names, source_genes, target_genes = registered_target(adata, target_key)
    require_same_target(names, result.var_names.to_numpy(dtype=str), target_key=target_key, key=key)
    return {
        "source": (source, source_genes),
        "translated": (predicted, target_genes),
        "measured": (measured, target_genes),
    }


def _ranked(values: np.ndarray, names: np.ndarray, wanted: list[str], profile: np.ndarray) -> pd.DataFrame:
    """Value and ranks of each wanted gene in the mean of each profile; a row a profile and gene."""
    means = pd.DataFrame(values, dtype=float).groupby(profile, sort=False).mean()
    means = means[means.notna().any(axis=1)]
    ranks = means.abs().rank(axis=1, ascending=False)
    tables = {"log_fc": means, "rank": ranks, "rank_up": means.rank(axis=1, ascending=False)}
    columns = [np.flatnonzero(names == gene) for gene in wanted]
    # NaN sorts last, so the best of several probes is a measured one
    best = [ranks[probes].fillna(np.inf).to_numpy().argmin(axis=1) if len(probes) else None for probes in columns]
    found = {
        name: [
            np.full(len(means), np.nan) if which is None else table[probes].to_numpy()[np.arange(len(means)), which]
            for probes, which in zip(columns, best, strict=True)
        ]
        for name, table in tables.items()
    }
    return pd.DataFrame(
        {
            "profile": np.tile(means.index, len(wanted)),
            "gene": np.repeat(wanted, len(means)),
            **{name: np.concatenate(parts) for name, parts in found.items()},
            "n_genes": np.tile(means.notna().sum(axis=1), len(wanted)),
        }
    )
