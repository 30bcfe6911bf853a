from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core.species_responses import match_responses
from scgx.datasets._orthologs import read_orthologs
from scgx.estimators import SpeciesResponses, mean_over
from scgx.metrics import interval_coverage, interval_width
from scgx.selection import (
    TRANSFER_BASELINES,
    TransferFold,
    nested_transfer,
    transfer_half_width,
    transfer_names,
    transfer_scores,
)
from scgx.selection._transfer import TransferSplit


def transfer(
    query: AnnData,
    reference: AnnData,
    *,
    methods: str | Sequence[str] = "auto",
    orthologs: pd.DataFrame | str | None = None,
    on: Sequence[str] = ("drug", "organ"),
    species_key: str | None = None,
    features: str | None = None,
    layer: str | None = None,
    split: TransferSplit = "gene",
    interval: float = 0.9,
    n_folds: int = 5,
    dataset: str = "data",
    seed: int = 0,
) -> pd.DataFrame:
    """Benchmark the transfer of responses between species on cells that never touched fitting or choosing.

    Parameters
    ----------
    query, reference, orthologs, on, species_key, features, layer, interval
        See :func:`scgx.tl.transfer_response`.
    methods
        Names, or ``"auto"`` for all. The row ``"auto"`` is what an inner cross-validation of them chooses in each fold.
        Baselines are added: no change, copy of the nearest species, mean of the species.
    split
        ``"gene"``: a gene is held out in all conditions, genes of one orthologue group together. ``"cell"``: a gene is held
        out in a condition, known in others. ``"condition"``: whole conditions are held out.
    n_folds
        Folds of genes.
    dataset
        Name in the result.
    seed
        Seed of folds and methods.

    Returns
    -------
    Tidy frame with columns ``dataset``, ``split``, ``fold``, ``group``, ``method``, ``role``, ``metric``, ``value``. Rows
    with an empty ``group`` score a fold, as means over its conditions: ``pearson`` over genes beside its twin
    ``pearson_delta`` (beyond the mean of the reference species), ``mae``, ``skill`` (over no change), ``sign_accuracy``
    (tenth of the genes that changed most), for ``auto`` also ``coverage`` and ``width``. Rows with a group (a query gene)
    hold ``squared_error`` and ``reference_squared_error`` (of no change), for :func:`compare`.

    Raises
    ------
    KeyError, ValueError
        As :func:`scgx.tl.transfer_response`; if ``split`` is unknown or leaves too little to learn from.

    Examples
    --------
    >>> import numpy as np, scgx
    >>> from anndata import AnnData
    >>> mouse = AnnData(np.random.default_rng(0).normal(size=(1, 200)), obs={"drug": ["LPS"]})
    >>> rat = mouse.copy()
    >>> rat.X = 0.5 * rat.X
    >>> frame = scgx.bm.transfer(rat, mouse, on=["drug"], methods=["affine"])
    >>> scgx.bm.compare(frame, "affine", "copy").low > 0
    True
    """
    if split not in ("gene", "cell", "condition"):
        raise ValueError(f"`split` must be 'gene', 'cell' or 'condition'; found {split!r}.")
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
    names = transfer_names(methods)
    genes = query.var_names.to_numpy(dtype=str)[matched.genes]
    folds = nested_transfer(
        responses, names, split, matched.groups, n_folds=n_folds, seed=seed, progress=f"transfer {dataset}"
    )
    rows = [{"fold": k, **row} for k, fold in enumerate(folds) for row in _rows(responses, fold, genes, interval)]
    frame = pd.DataFrame(rows).assign(dataset=dataset, split=f"{split}s held out")
    frame["role"] = np.where(frame["method"].isin(TRANSFER_BASELINES), "baseline", "candidate")
    return frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]


def _rows(
    responses: SpeciesResponses, fold: TransferFold, genes: np.ndarray, interval: float
) -> Iterator[dict[str, Any]]:
    truth = np.where(fold.hidden, responses.query, np.nan)
    center = mean_over(responses.reference)
    held = fold.hidden.any(axis=0)
    for method, predicted in fold.predictions.items():
        values = transfer_scores(truth, predicted, center)
        if method == "auto":
            known = np.where(fold.hidden, np.nan, responses.query)
            width = np.broadcast_to(transfer_half_width(known, fold.chosen, interval)[:, None], truth.shape)
            values["coverage"] = interval_coverage(truth, predicted, width)
            values["width"] = interval_width(width[fold.hidden][None], (1, int(fold.hidden.sum())))
        yield from ({"group": "", "method": method, "metric": m, "value": v} for m, v in values.items())
        errors = {"squared_error": truth - predicted, "reference_squared_error": truth}
        for metric, difference in errors.items():
            total = np.nan_to_num(difference[:, held]).astype(np.float64) ** 2
            for gene, value in zip(genes[held], total.sum(axis=0), strict=True):
                yield {"group": gene, "method": method, "metric": metric, "value": value}
