from __future__ import annotations

from typing import TYPE_CHECKING

from anndata import AnnData

from scgx._core import source_of
from scgx.tl._translator import Translator
from scgx.tl._write_translation import write_translation

if TYPE_CHECKING:
    from mudata import MuData

    from scgx.selection._candidates import Method
    from scgx.selection._training_rows import TrainingMode


def translate(
    data: AnnData | MuData,
    *,
    model: Translator | None = None,
    method: Method | None = None,
    target_key: str = "target",
    layer: str | None = None,
    group_key: str | None = None,
    tissue_key: str | None = None,
    training: TrainingMode = "mixed",
    target_tissue: str | None = None,
    n_target_samples: int = 1,
    interval: float = 0.9,
    key_added: str = "translated",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Translate each row to the target panel, with the baseline and an interval beside it.

    Fits on the rows whose target was measured (:func:`scgx.pp.add_target`) and predicts all rows. The rows that
    were fitted get their *out-of-fold* prediction, made without their group, so that a plot of translated against
    measured values is honest.

    Parameters
    ----------
    data
        AnnData with a registered target, or MuData of :func:`scgx.pp.pair` (the result goes to its ``"source"``).
    model
        A fitted :class:`Translator`: nothing is fitted, every row is predicted. Excludes ``method``.
    method
        ``None`` is ``"auto"``; see :class:`Translator`.
    target_key, layer, group_key, tissue_key, training, target_tissue, n_target_samples, interval, seed
        See :class:`Translator`. With ``model`` only ``layer`` is used.
    key_added
        Name of the result; see Returns.
    copy
        Return a changed copy and leave ``data`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets, for the default ``key_added``,

    ``.obsm["X_translated"]``
        float32, n_obs × m, in the unit of the target.
    ``.layers["translated"]``
        The same on the genes that both panels measure, NaN elsewhere; left out where there is no such gene or
        ``data`` is backed.
    ``.uns["translate"]``
        ``method`` chosen and ``weights`` of the stack's members, ``target_genes`` (m), ``scores`` (one array a
        column, one row a candidate and baseline: cross-validated ``skill`` over the training gene means, ``mae``,
        ``pearson``, ``pearson_delta``, ``pearson_within_gene``, ``seconds``), ``split``, ``interval`` (level),
        ``half_width`` (m), with ``tissue_key`` also ``tissues`` (k) and ``tissue_half_width`` (k × m), ``coverage`` on
        held-out folds, ``fitted_rows`` (``"out of fold"``, or ``"as any other row"`` with ``model``),
        ``calibration``, ``n_measured``, ``n_source_genes``, ``n_shared_genes``, ``overlap`` (share of the training
        genes found), ``layer``, ``training``, ``seed``. The cross-tissue modes add ``target_tissue``,
        ``n_target_samples``, ``target_tissue_scores`` and ``target_tissue_coverage``; see Notes.

    Another ``key_added="name"`` gives ``.obsm["X_name"]``, ``.layers["name"]`` and ``.uns["name"]``.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If ``model`` and ``method`` are both given, names are doubled, values infinite, rows or groups too few, or
        ``training`` lacks what it needs (:class:`Translator`).

    Notes
    -----
    In the cross-tissue modes ``scores``, ``half_width`` and ``coverage`` come from the training tissues and say little
    about the target tissue. What does are its measured rows that never touched fitting: ``target_tissue_scores`` (one
    row for what was chosen and for each baseline, over ``"all rows"`` and, where there are some, over those of ``"new
    groups"``, which no training tissue holds either) and ``target_tissue_coverage``, the share of these measurements
    within the interval of the training tissues.

    Time of ``"auto"`` on one core: ten seconds for 60 × 300 → 300, a minute and a half for 530 × 489 → 489, 27 minutes
    and 4.8 GB for 2,000 × 8,565 → 22,794. Most of it is sample attention, which a list of the other methods leaves out.
    A progress bar shows what is left.

    Examples
    --------
    >>> import scgx
    >>> source, target, _ = scgx.datasets.pbmc_panels()
    >>> scgx.pp.add_target(source, target)
    >>> scgx.tl.translate(source, method="ridge")
    >>> source.obsm["X_translated"].shape[0] == source.n_obs
    True
    """
    if model is not None:
        if method is not None:
            raise ValueError("`model` predicts and `method` fits: give one of them, not both.")
        translator = model
    else:
        translator = Translator(
            "auto" if method is None else method,
            target_key=target_key,
            layer=layer,
            group_key=group_key,
            tissue_key=tissue_key,
            training=training,
            target_tissue=target_tissue,
            n_target_samples=n_target_samples,
            interval=interval,
            seed=seed,
        ).fit(data)
    values, overlap = translator.predict(source_of(data), layer=layer)
    fitted = translator.fitted
    if model is None:
        values[fitted.rows] = fitted.estimator.out_of_fold_
    rows = "out of fold" if model is None else "as any other row"
    report = translator.report() | {"overlap": overlap, "fitted_rows": rows}
    return write_translation(data, values, report, fitted, key_added=key_added, copy=copy)
