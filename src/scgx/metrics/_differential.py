from __future__ import annotations

import numpy as np

from ._checks import paired_rows


def mse_top20_de(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    r"""Mean squared error on the 20 genes that changed most, one a condition.

    :math:`\frac{1}{20} \sum_{g \in T_{20}} (d_g - \hat d_g)^2`, where :math:`T_{20}` holds the largest :math:`|d_g|`.
    GEARS (Roohani et al. 2024) takes the 20 genes by a t-test over cells; condition means have the size of the change
    only.

    Parameters
    ----------
    true
        Measured changes :math:`d`, conditions × genes (n × m), NaN where not measured.
    predicted
        Predicted changes :math:`\hat d`, n × m.

    Returns
    -------
    n errors, in the squared unit of ``true``; NaN where fewer than 20 genes were measured.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    true, predicted = paired_rows(true, predicted)
    if true.shape[1] < 20:
        return np.full(len(true), np.nan)
    size = np.where(np.isfinite(true), np.abs(true), -1)  # not measured: last
    top = np.argsort(-size, axis=1, kind="stable")[:, :20]
    return np.take_along_axis((true - predicted) ** 2, top, axis=1).mean(axis=1)


def deg_sign_accuracy(true: np.ndarray, predicted: np.ndarray, is_deg: np.ndarray) -> np.ndarray:
    r"""Share of the truly changed genes whose direction was predicted, one a condition.

    :math:`|\{g \in D : \operatorname{sign} \hat d_g = \operatorname{sign} d_g\}| / |D|` over the differentially
    expressed genes :math:`D`. A predicted change of exactly 0 has no direction and counts as wrong.

    Parameters
    ----------
    true, predicted
        Measured and predicted changes, n × m, see :func:`mse_top20_de`.
    is_deg
        Which genes truly changed, n × m: true or false, or 1, 0 and NaN for a gene that was not tested. Take the calls
        from a test over cells, for example ``scanpy.tl.rank_genes_groups``.

    Returns
    -------
    n shares; NaN where no gene changed or a prediction is missing. Where nearly all genes go one way (interferon), a
    constant sign scores close to 1: show the share of the majority sign beside it.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    true, predicted = paired_rows(true, predicted)
    changed, _ = paired_rows(is_deg, predicted, ("is_deg", "predicted"))
    used = (changed == 1) & np.isfinite(true)
    hit = np.where(np.isnan(predicted), np.nan, np.sign(predicted) == np.sign(true))
    return _share(np.where(used, hit, 0).sum(axis=1), used.sum(axis=1))


def deg_recall(is_deg: np.ndarray, predicted_is_deg: np.ndarray) -> np.ndarray:
    r"""Share of the truly changed genes that were predicted to change, one a condition.

    :math:`|D \cap \hat D| / |D|`. Calling every gene changed scores 1: read it beside :func:`deg_auprc`.

    Parameters
    ----------
    is_deg
        Which genes truly changed, n × m, see :func:`deg_sign_accuracy`.
    predicted_is_deg
        Which genes were predicted to change, n × m; the same test on predicted cells.

    Returns
    -------
    n shares; NaN where no gene changed.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    changed, called = paired_rows(is_deg, predicted_is_deg, ("is_deg", "predicted_is_deg"))
    used = changed == 1
    return _share(np.where(used, called, 0).sum(axis=1), used.sum(axis=1))


def deg_auprc(is_deg: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Average precision of a ranking of genes against the truly changed ones, one a condition.

    The area under the precision–recall curve without interpolation
    (:func:`sklearn.metrics.average_precision_score`). A ranking by chance scores the share of changed genes, which
    differs between conditions.

    Parameters
    ----------
    is_deg
        Which genes truly changed, n × m, see :func:`deg_sign_accuracy`.
    score
        The larger, the surer a change was predicted, n × m: the size of the predicted change, or −log10 of a p-value.

    Returns
    -------
    n areas; NaN where no gene changed, all did, or a score is missing.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    from sklearn.metrics import average_precision_score

    changed, score = paired_rows(is_deg, score, ("is_deg", "score"))
    area = np.full(len(changed), np.nan)
    for i, tested in enumerate(np.isfinite(changed)):
        label, rank = changed[i, tested] == 1, score[i, tested]
        if 0 < label.sum() < label.size and not np.isnan(rank).any():
            area[i] = average_precision_score(label, rank)
    return area


def overlap_at_n(true: np.ndarray, predicted: np.ndarray, n_genes: int = 50) -> np.ndarray:
    r"""Share of the genes that changed most that are among those predicted to change most, one a condition.

    :math:`|T_N \cap \hat T_N| / N` with :math:`T_N` the N largest :math:`|d_g|`. Genes tied at the border share the
    places that are left, so that the order of the genes decides nothing and a prediction of no change scores chance,
    N / m.

    Parameters
    ----------
    true, predicted
        Measured and predicted changes, n × m, see :func:`mse_top20_de`.
    n_genes
        N.

    Returns
    -------
    n shares; NaN where fewer than N genes changed at all or a prediction is missing.

    Raises
    ------
    ValueError
        If the shapes differ, or ``n_genes`` does not lie between 1 and m.
    """
    true, predicted = paired_rows(true, predicted)
    if not 1 <= n_genes <= true.shape[1]:
        raise ValueError(f"`n_genes` must lie between 1 and the number of genes, {true.shape[1]}; found {n_genes!r}")
    measured = np.isfinite(true)
    size, predicted_size = (np.where(measured, np.abs(change), -1) for change in (true, predicted))
    scored = (np.count_nonzero(size > 0, axis=1) >= n_genes) & ~np.isnan(predicted_size).any(axis=1)
    overlap = (_top_share(size, n_genes) * _top_share(predicted_size, n_genes)).sum(axis=1) / n_genes
    return np.where(scored, overlap, np.nan)


def _top_share(size: np.ndarray, n_genes: int) -> np.ndarray:
    """1 for the n largest of each row, 0 for the rest, and a fraction each for those tied at the border."""
    border = np.sort(size, axis=1)[:, [-n_genes]]
    above, tied = size > border, size == border
    left = n_genes - above.sum(axis=1, keepdims=True)
    return above + tied * left / np.maximum(tied.sum(axis=1, keepdims=True), 1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
