from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from anndata import AnnData
from tqdm import tqdm

from scgx._core import ReactomeKeys, layer_or_x, output_object, require_unique

from ._conditions import Conditions, find_conditions
from ._expression import Expression, ReactomeScale, expression
from ._half_correlation import HalfCorrelation

Norm = Literal["signed", "l1"]


def reactome(
    adata: AnnData,
    *,
    drug_key: str | None,
    organ_key: str,
    control: str | float | bool | None,
    design_keys: str | Sequence[str] = (),
    input_scale: ReactomeScale,
    norm: Norm = "signed",
    layer: str | None = None,
    key_added: str = "reactome",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    r"""Reactome of every gene: its response to each drug in each organ.

    The response of gene :math:`g` in replicate :math:`i` of a condition is its log2 fold change :math:`f_{ig}` over
    the mean of its controls, as in :func:`scgx.pp.log_fold_change`. Over the replicates :math:`R` of condition
    :math:`c` the reactome is

    .. math:: r_{gc} = \frac{1}{|R|} \sum_{i \in R} f_{ig} \quad (\text{"signed"}), \qquad
              r_{gc} = \frac{1}{|R|} \sum_{i \in R} |f_{ig}| \quad (\text{"l1"}).

    A control belongs to a treated row of the same organ and, in each design column in which some control equals some
    treated row, of the same value there. So time and vehicle are matched where controls have them, and a dose that is
    0 for every control is not.

    The reliability of a gene is the correlation over conditions of two random halves of the replicates, each over its
    own half of the controls, corrected to full length by Spearman and Brown: :math:`2 \rho / (1 + \rho)`. Conditions
    with one replicate, or one control, do not enter.

    Parameters
    ----------
    adata
        Samples × genes: treated and control samples together, or ready responses.
    drug_key
        ``.obs`` column of the drug, which also tells the controls. ``None`` where the condition is the organ alone:
        the values are then baseline levels (in log2; as they are for ``"log_fc"``).
    organ_key
        ``.obs`` column of the organ (tissue, cell type).
    control
        Value of ``drug_key`` for the controls; ``None`` with ``input_scale="log_fc"`` or without ``drug_key``.
    design_keys
        Further ``.obs`` columns that make a condition: time, dose, vehicle.
    input_scale
        ``"counts"`` (each sample is brought to the median library size, then log(x + 1)), ``"linear"``, ``"log1p"``,
        ``"log2"`` or ``"log10"`` as in :func:`scgx.pp.log_fold_change`; ``"log_fc"``: rows are responses already, they
        are averaged and keep their unit.
    norm
        ``"signed"``, or ``"l1"``: the size of the response whatever its direction, with the size of the noise in it.
    layer
        Layer to take; ``None`` means ``.X``.
    key_added
        Name of the result.
    seed
        Draws the halves. They depend on ``.obs_names`` and not on the order of rows.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets

    ``.varm["reactome"]``
        float32 array, genes × conditions, log2 fold changes (``"log_fc"``: unit of the input), NaN where not measured.
        Conditions are sorted by drug, organ and design columns.
    ``.var["reactome_reliability"]``
        float32 in [-1, 1]; NaN without replicates, with fewer than three replicated conditions, or if constant.
    ``.uns["reactome"]``
        ``conditions`` (``"drug"``, ``"organ"`` and the design columns, each with one value a condition), ``n_samples``
        (replicates of each condition), ``norm``, ``input_scale``, ``unit``, ``matched_on`` (columns in which a control
        equals its treated row), ``organ_key``, ``design_keys``, ``seed``; with them ``drug_key`` and ``control``.

    Raises
    ------
    KeyError
        If a column or layer is missing, or no row is a control.
    ValueError
        If a condition has no control or columns have gaps, gene names occur twice, the scale does not fit the values
        (negative counts), or arguments contradict each other.

    References
    ----------
    The L1 reactome of organs × drugs: UGE (universal gene embeddings between species). Spearman (1910) and Brown (1910)
    British Journal of Psychology 3.

    Examples
    --------
    >>> import scgx
    >>> query = scgx.datasets.simulate_reactome(n_genes=50, n_organs=2, n_drugs=5).query
    >>> scgx.pp.reactome(query, drug_key="drug", organ_key="organ", control="control", input_scale="log2")
    >>> query.varm["reactome"].shape
    (50, 10)
    """
    _check(adata, drug_key, control, input_scale, norm)
    design = [design_keys] if isinstance(design_keys, str) else list(design_keys)
    conditions = find_conditions(adata, drug_key, organ_key, control, design)
    what = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    values = expression(layer_or_x(adata, layer), adata, input_scale, what)
    result, reliability = _responses(values, conditions, norm, np.random.default_rng(seed))

    keys = ReactomeKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    out.varm[keys.varm] = result
    out.var[keys.reliability] = reliability
    record: dict[str, Any] = {
        "conditions": conditions.table,
        "n_samples": np.array([len(rows) for rows in conditions.rows]),
        "norm": norm,
        "input_scale": input_scale,
        "unit": values.unit,
        "matched_on": conditions.matched_on,
        "organ_key": organ_key,
        "design_keys": design,
        "seed": seed,
    }
    said = {"drug_key": drug_key, "control": control}
    out.uns[keys.uns] = record | {name: value for name, value in said.items() if value is not None}
    return out if copy else None


def _check(adata: AnnData, drug_key: str | None, control: object, input_scale: str, norm: str) -> None:
    require_unique(adata.var_names, "adata.var_names")
    if norm not in get_args(Norm):
        raise ValueError(f"norm={norm!r}, expected one of {', '.join(map(repr, get_args(Norm)))}")
    if control is None and drug_key is not None and input_scale != "log_fc":
        raise ValueError(
            f"control=None, but input_scale={input_scale!r} needs the value of .obs[{drug_key!r}] that marks controls; "
            "if the rows are fold changes already say input_scale='log_fc'"
        )
    if control is not None and (drug_key is None or input_scale == "log_fc"):
        found = "drug_key=None" if drug_key is None else "input_scale='log_fc'"
        raise ValueError(
            f"control={control!r} goes with expression of treated and control rows, not with {found}: say None"
        )


def _responses(
    values: Expression, conditions: Conditions, norm: Norm, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the reactome, genes × conditions, and the reliability of each gene."""
    result = np.empty((values.n_genes, len(conditions.rows)), dtype=np.float32)
    halves = HalfCorrelation(values.n_genes)
    controls = [_Controls(values, rows, rng) for rows in conditions.controls]
    bar = tqdm(conditions.rows, desc="reactome", unit="condition", delay=2, leave=False)
    for c, rows in enumerate(bar):
        of = controls[conditions.control_of[c]]
        result[:, c] = values.mean_response(rows, of.all, norm)
        if len(rows) > 1 and of.halves is not None:
            halves.add(*(values.mean_response(r, m, norm) for r, m in zip(_halves(rows, rng), of.halves, strict=True)))
    return result, halves.reliability()


class _Controls:
    """Mean of the controls of some conditions, and of two halves of them if there are several."""

    def __init__(self, values: Expression, rows: np.ndarray | None, rng: np.random.Generator) -> None:
        zero = np.zeros(values.n_genes)
        self.all = zero if rows is None else values.log_mean(rows)
        self.halves: list[np.ndarray] | None
        if rows is None:
            self.halves = [zero, zero]
        else:
            self.halves = [values.log_mean(half) for half in _halves(rows, rng)] if len(rows) > 1 else None


def _halves(rows: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    shuffled = rng.permutation(rows)
    return [np.sort(shuffled[: len(rows) // 2]), np.sort(shuffled[len(rows) // 2 :])]
