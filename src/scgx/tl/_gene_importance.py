from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import (
    ImportanceKeys,
    check_source,
    dense_rows,
    examples,
    layer_or_x,
    match_genes,
    output_object,
    registered_target,
    require_key,
)
from scgx.selection import permutation_importance
from scgx.tl._translator import Translator

if TYPE_CHECKING:
    from scgx.model import TransPlatformer

Explain = Callable[[np.ndarray], np.ndarray]
"""Importance of the genes found (k), over the rows given (bool, n_obs)."""


def gene_importance(
    adata: AnnData,
    *,
    model: Translator | TransPlatformer,
    groupby: str | None = None,
    method: Literal["auto", "weights", "permutation"] = "auto",
    layer: str | None = None,
    key_added: str = "importance",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Say which source genes a translation rests on, overall and by tissue.

    Parameters
    ----------
    adata
        Source platform, genes in any order. With ``method="permutation"`` some rows have a measured target.
    model
        A fitted :class:`Translator` or :class:`scgx.model.TransPlatformer`.
    groupby
        ``.obs`` column, for example the tissue: importance over the rows of each group as well. Rows without a
        label count in the overall importance only.
    method
        ``"weights"``: what the model itself says over the rows of ``adata``. Ridge, partial least squares and the
        same-gene fit: the norm of a gene's coefficients over targets, times how far the gene departs from its
        training mean; kernel ridge: the same with the gradient; attention: what the gene receives, averaged over
        rows; a stack: the mean of its members by their weights. ``"permutation"``: how much the squared error
        grows when the gene is shuffled over measured rows (:func:`scgx.selection.permutation_importance`).
        ``"auto"``: weights where every member of the model has them, else permutation.
    layer
        Layer to use; ``None`` means that of the model, the only one that a :class:`scgx.model.TransPlatformer` takes.
    key_added
        Name of the result; see Returns.
    seed
        Seed of the shuffling.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets, for the default ``key_added``,

    ``.var["importance"]``
        At least 0, mean 1 over the genes that the model uses; NaN for genes that it does not know.
    ``.varm["importance"]``
        With ``groupby``: n_vars × groups, each column scaled likewise; a column of NaN where a group tells nothing
        (permutation needs two measured rows).
    ``.uns["importance"]``
        ``method`` (``"weights"`` or ``"permutation"``), ``groupby`` (empty without) and ``groups``, the names of the
        columns.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If ``method`` is unknown or the model cannot answer it, too few genes are found, too few rows are measured, or
        the model uses no gene at all.
    TypeError
        If ``model`` is neither kind of model.

    Notes
    -----
    Importance says what the model uses, not what acts on what: of two correlated genes a model may use either or
    share the weight between them. Permutation on rows that the model was fitted on is flattered by what it learned by
    heart; give held-out rows where there are some.

    References
    ----------
    Cong et al., BMC Bioinformatics 2026, Fig. 8 and Table 11: attention by gene, relative to the mean.

    Examples
    --------
    >>> import scgx
    >>> source, target, _ = scgx.datasets.pbmc_panels()
    >>> scgx.pp.add_target(source, target)
    >>> translator = scgx.tl.Translator("ridge").fit(source)
    >>> scgx.tl.gene_importance(source, model=translator)
    >>> round(float(source.var["importance"].mean()), 3)
    1.0
    """
    if method not in ("auto", "weights", "permutation"):
        raise ValueError(f"`method` must be 'auto', 'weights' or 'permutation'; found {method!r}.")
    groups = _groups(adata, groupby)
    if isinstance(model, Translator):
        method = _resolved(model, method)
        columns, explain = _of_translator(adata, model, method, layer, seed)
    elif hasattr(model, "get_attention"):
        if method == "permutation" or layer is not None:
            raise ValueError(
                "`method='permutation'` and `layer` need a `scgx.tl.Translator`; this model tells its attention."
            )
        method = "weights"
        columns, explain = _of_attention(adata, model)
    else:
        raise TypeError(f"`model` must be a Translator or a TransPlatformer; found {type(model).__name__}.")
    overall = _relative(explain(np.ones(adata.n_obs, dtype=bool)))
    if np.isnan(overall).all():
        raise ValueError("no gene has any importance: the model predicts the same profile for every row.")
    by_group = [_relative(explain(rows)) for rows in groups.values()]
    record = {"method": method, "groupby": groupby or "", "groups": np.array(list(groups), dtype=str)}
    return _write(adata, columns, overall, by_group, record, key_added=key_added, copy=copy)


def _groups(adata: AnnData, groupby: str | None) -> dict[str, np.ndarray]:
    """Rows (bool) of each group, by name."""
    if groupby is None:
        return {}
    require_key(adata.obs.columns, groupby, ".obs", "groupby")
    column = adata.obs[groupby]
    labels = column.astype(str).to_numpy(dtype=str)
    known = column.notna().to_numpy()
    return {str(name): known & (labels == name) for name in np.unique(labels[known])}


def _tells(member: Any) -> bool:
    return hasattr(member, "gene_importance") or hasattr(member, "attention")


def _resolved(model: Translator, method: str) -> Literal["weights", "permutation"]:
    silent = [name for name, member in model.fitted.estimator.members_.items() if not _tells(member)]
    if method == "weights" and silent:
        raise ValueError(f"{examples(silent)} has no weights a gene; use `method='permutation'` or 'auto'.")
    return "permutation" if method == "permutation" or silent else "weights"


def _of_translator(
    adata: AnnData, model: Translator, method: str, layer: str | None, seed: int
) -> tuple[np.ndarray, Explain]:
    """Columns of ``adata`` that the model uses, and what tells their importance."""
    fitted = model.fitted
    match = match_genes(adata.var_names, pd.Index(fitted.source_genes), what="`adata.var_names`")
    X = np.full((adata.n_obs, len(fitted.source_genes)), np.nan, dtype=np.float32)
    X[:, match.found] = dense_rows(layer_or_x(adata, model.layer if layer is None else layer), None, match.position)
    check_source(X, np.arange(len(X)))
    X = fitted.adapted(X)

    def by_weights(rows: np.ndarray) -> np.ndarray:
        members = fitted.estimator.members_
        parts = [fitted.estimator.weights_[k] * _relative(_own(v, X[rows]), none=0.0) for k, v in members.items()]
        return np.sum(parts, axis=0)[match.found]

    if method == "weights":
        return match.position, by_weights
    return match.position, _by_permutation(adata, model, X, match.found, seed)


def _own(member: Any, X: np.ndarray) -> np.ndarray:
    if hasattr(member, "gene_importance"):
        return member.gene_importance(X)
    return member.attention(X).mean(axis=0)


def _by_permutation(adata: AnnData, model: Translator, X: np.ndarray, found: np.ndarray, seed: int) -> Explain:
    Y, genes, _, _ = registered_target(adata, model.target_key)
    if not np.array_equal(genes, model.fitted.target_genes):
        raise ValueError(
            f".obsm[{model.target_key!r}] has {len(genes)} genes, the translator predicts "
            f"{len(model.fitted.target_genes)}, or others; register the panel that the translator was fitted on."
        )
    Y = Y - model.fitted.target_offset
    measured = np.isfinite(Y).any(axis=1)
    if measured.sum() < 2:
        raise ValueError(
            f"`method='permutation'` needs rows with a measured target in .obsm[{model.target_key!r}], at least 2; "
            f"found {measured.sum()}. Register a target with `scgx.pp.add_target`, or use a model that has weights."
        )
    tissue = None
    if model.tissue_key is not None:
        require_key(adata.obs.columns, model.tissue_key, ".obs", "tissue_key")
        tissue = adata.obs[model.tissue_key].astype(str).to_numpy(dtype=str)

    def by_permutation(rows: np.ndarray) -> np.ndarray:
        used = np.flatnonzero(rows & measured)
        if len(used) < 2:
            return np.zeros(len(found))
        labels = None if tissue is None else tissue[used]
        increase = permutation_importance(
            model.fitted.estimator, X[used], Y[used], tissue=labels, seed=seed, progress=True
        )
        return np.maximum(increase[found], 0)

    return by_permutation


def _of_attention(adata: AnnData, model: TransPlatformer) -> tuple[np.ndarray, Explain]:
    match = match_genes(adata.var_names, pd.Index(model.source_genes), what="`adata.var_names`")
    attention = np.asarray(model.get_attention(adata))[:, match.found]
    return match.position, lambda rows: attention[rows].mean(axis=0)


def _relative(importance: np.ndarray, *, none: float = np.nan) -> np.ndarray:
    """Importance in units of its mean; ``none`` where no gene has any."""
    mean = importance.mean()
    return importance / mean if mean > 0 else np.full(len(importance), none)


def _write(
    adata: AnnData,
    columns: np.ndarray,
    overall: np.ndarray,
    by_group: list[np.ndarray],
    record: dict[str, Any],
    *,
    key_added: str,
    copy: bool,
) -> AnnData | None:
    keys = ImportanceKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    values = np.full((out.n_vars, 1 + len(by_group)), np.nan)
    values[columns] = np.stack([overall, *by_group], axis=1)
    out.var[keys.var] = values[:, 0]
    if by_group:
        out.varm[keys.varm] = values[:, 1:]
    elif keys.varm in out.varm:
        del out.varm[keys.varm]
    out.uns[keys.uns] = record
    return out if copy else None
