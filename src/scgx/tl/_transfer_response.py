from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import TransferResponseKeys, output_object
from scgx._core.species_responses import MatchedResponses, match_responses
from scgx.datasets._orthologs import read_orthologs
from scgx.estimators import SpeciesResponses, mean_over
from scgx.selection import (
    choose_transfer,
    is_fittable,
    measured_conditions,
    predict_transfer,
    transfer_coverage,
    transfer_half_width,
    transfer_names,
)
from scgx.selection._transfer import TransferSplit
from scgx.tl._report import score_columns


def transfer_response(
    query: AnnData,
    reference: AnnData,
    *,
    method: str | Sequence[str] = "auto",
    orthologs: pd.DataFrame | str | None = None,
    on: Sequence[str] = ("drug", "organ"),
    species_key: str | None = None,
    features: str | None = None,
    layer: str | None = None,
    interval: float = 0.9,
    key_added: str = "response_transferred",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Predict the responses of one species from those of others.

    Learns from the (condition, gene) cells that the query has measured and predicts the others: genes that it did not
    measure in a condition or anywhere, and whole conditions. Measured cells get their *out-of-fold* prediction, made
    without them. A query that has measured nothing gets the mean of the species (a copy where there is one).

    Parameters
    ----------
    query
        Conditions × genes of the species to predict, log fold changes against control, NaN where not measured.
    reference
        The same for one or several other species, stacked along the rows.
    method
        ``"auto"`` (all below, cross-validated, and their stack with non-negative weights), a name, or a list of names.
        ``"no_change"``; ``"copy"`` (of the nearest species);
        ``"species_mean"``; ``"affine"`` (of the copy, by condition); ``"latent_arithmetic"`` (z + δ_drug + δ_species in the
        latent space of all species' profiles); ``"ridge"`` and ``"boosting"`` (all species' responses, in the other
        conditions too, what the query measured of the gene there, and ``features``).
    orthologs
        Table of orthologues, ``"symbol"``, or the name of a table of ``scgx.datasets.load("orthologs")``. ``None`` pairs
        equal ``.var_names``. A gene with several partners takes their mean.
    on
        ``.obs`` columns of both that name a condition.
    species_key
        ``.obs`` column of ``reference`` with the species; ``None``: one species.
    features
        Key of ``query.varm`` with features of genes, for example their expression by organ; NaN where not known.
    layer
        Layer of both with the responses; ``None`` for ``.X``.
    interval
        Probability that a prediction's interval holds the value.
    key_added
        Name of the result; see Returns.
    seed
        Seed of folds and methods.
    copy
        Return a changed copy and leave ``query`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets, for the default ``key_added``,

    ``.layers["response_transferred"]``
        float32, n_obs × n_vars, in the unit of the responses; NaN for a condition or gene without a partner.
    ``.uns["transfer_response"]``
        ``method`` chosen and ``weights`` of its members, for genes (``"within"``) and, where the query lacks whole
        conditions, for those (``"condition"``); ``scores`` (one array a column, one row a split and method, baselines
        no change, copy and species mean among them: ``pearson`` over genes, ``pearson_delta`` beyond the mean of the
        species, ``mae``, ``skill`` over no change, ``sign_accuracy`` of the tenth most changed genes; all cross-validated,
        means over conditions); ``split``; ``interval``, ``half_width`` (n_obs, infinite where there is too little to tell)
        and ``coverage`` (each fold by the widths of the others); ``species``, ``n_genes``, ``genes`` (what was paired
        and left out), ``on``, ``features``, ``layer``, ``seed``.

    Raises
    ------
    KeyError
        If a column, layer or key is missing.
    ValueError
        If no condition is shared or one occurs twice, no gene has a partner, ``method`` is unknown, or ``interval`` is
        not between 0 and 1.

    Notes
    -----
    What is cross-validated is what is asked for. Where some gene is measured nowhere, or there is one condition: whole
    genes are held out (split ``"gene"``), those of one orthologue group together. Otherwise a gene in one condition
    (``"cell"``), as its other conditions are known. Conditions that are measured nowhere: whole conditions
    (``"condition"``). Where only one condition is measured, that cannot be done: ``"auto"`` then takes only copy, mean and
    affine fit to new conditions, and their scores are those of held-out genes, which is optimistic.

    References
    ----------
    Belgadi, Zhang and Gopinath 2024 (latent arithmetic); Breiman 1996, Stacked regressions.

    Examples
    --------
    >>> import numpy as np, scgx
    >>> from anndata import AnnData
    >>> mouse = AnnData(np.random.default_rng(0).normal(size=(1, 100)), obs={"drug": ["LPS"]})
    >>> rat = mouse.copy()
    >>> rat.X = 0.5 * rat.X
    >>> rat.X[0, :20] = np.nan
    >>> scgx.tl.transfer_response(rat, mouse, on=["drug"], method="affine")
    >>> bool(np.allclose(rat.layers["response_transferred"], 0.5 * mouse.X, atol=1e-5))
    True
    """
    if not 0 < interval < 1:
        raise ValueError(f"`interval` must lie between 0 and 1, for example 0.9; found {interval!r}.")
    matched = match_responses(
        query,
        reference,
        orthologs=read_orthologs(orthologs),
        on=on,
        species_key=species_key,
        features=features,
        layer=layer,
    )
    responses = SpeciesResponses(matched.query, matched.reference, matched.features)
    names = transfer_names(method)
    values, half_width, record = _transfer(responses, names, matched.groups, interval, seed)
    keys = TransferResponseKeys.from_key_added(key_added)
    out = output_object(query, copy=copy)
    layer_out = np.full(out.shape, np.nan, dtype=np.float32)
    layer_out[np.ix_(matched.rows, matched.genes)] = values
    width_out = np.full(out.n_obs, np.nan, dtype=np.float32)
    width_out[matched.rows] = half_width
    out.layers[keys.layer] = layer_out
    out.uns[keys.uns] = (
        record
        | {
            "interval": interval,
            "half_width": width_out,
            "features": features or "",
            "layer": layer or "",
            "seed": seed,
        }
        | _described(matched, on)
    )
    return out if copy else None


def _described(matched: MatchedResponses, on: Sequence[str]) -> dict[str, Any]:
    names = [on] if isinstance(on, str) else list(on)
    return {"species": matched.species, "n_genes": len(matched.genes), "genes": matched.report, "on": names}


def _transfer(
    responses: SpeciesResponses, names: list[str], groups: np.ndarray, interval: float, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Predictions (c × g), half-widths (c) and what is said of them."""
    known = np.isfinite(responses.query) & np.isfinite(mean_over(responses.reference))
    if not is_fittable(responses):
        return _without_fit(responses, names, seed)
    within = choose_transfer(responses, names, _within(responses, known), groups, seed=seed, progress=True)
    new = np.array([not responses.enough(k) for k in range(len(responses.query))])
    chosen = {"within": within}
    if new.any():
        chosen["condition"] = choose_transfer(responses, names, "condition", groups, seed=seed, progress=True)
    values, half_width = np.empty(responses.query.shape), np.empty(len(new), dtype=np.float32)
    for name, one in chosen.items():
        rows = np.flatnonzero(new if name == "condition" else ~new)
        values[rows] = predict_transfer(responses, one.weights, rows.tolist(), seed)
        half_width[rows] = transfer_half_width(responses.query, one, interval)[rows]
    values = np.where(np.isfinite(within.out_of_fold), within.out_of_fold, values)
    scores = [row for one in chosen.values() for row in one.scores]
    record = {
        "method": {name: one.method for name, one in chosen.items()},
        "weights": {name: one.weights for name, one in chosen.items()},
        "split": {name: one.split for name, one in chosen.items()},
        "scores": score_columns(scores),
        "coverage": {name: transfer_coverage(responses.query, one, interval) for name, one in chosen.items()},
    }
    return values, half_width, record


def _within(responses: SpeciesResponses, known: np.ndarray) -> TransferSplit:
    """Hold out what is like what must be predicted: genes never measured, or genes measured elsewhere."""
    never = np.isfinite(mean_over(responses.reference)).any(axis=0) & ~known.any(axis=0)
    return "gene" if never.any() or len(measured_conditions(responses)) < 2 else "cell"


def _without_fit(
    responses: SpeciesResponses, names: list[str], seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Nothing to learn from: what fits nothing, in the order of trust."""
    several = len(responses.reference) > 1
    order = ["species_mean", "copy", "no_change"] if several else ["copy", "species_mean", "no_change"]
    possible = [name for name in order if name in names]
    if not possible:
        raise ValueError(
            f"method {names!r} must be fitted, but the query has measured too few responses on shared genes and "
            f"conditions; use one of {order}."
        )
    n_conditions = len(responses.query)
    values = predict_transfer(responses, {possible[0]: 1.0}, range(n_conditions), seed)
    record = {
        "method": {"within": possible[0]},
        "weights": {"within": {possible[0]: 1.0}},
        "split": {"within": "none: the query has measured nothing to validate on"},
        "scores": {},
        "coverage": {"within": float("nan")},
    }
    return values, np.full(n_conditions, np.inf), record
