from __future__ import annotations

import numpy as np


def conformal_half_width(residuals: np.ndarray, level: float) -> np.ndarray:
    """Half-width per gene of intervals that hold a new row's value with probability ``level``.

    The ⌈(n + 1) · level⌉-th smallest of the n absolute out-of-fold residuals of each gene. This is CV+
    (Barber et al. 2021, Predictive inference with the jackknife+) with the fold models' predictions taken at
    the full model's: exact as they agree, slightly wide as the full model has seen more rows.

    Parameters
    ----------
    residuals
        True minus out-of-fold prediction, n × m, NaN where not measured.
    level
        Probability to hold, between 0 and 1.

    Returns
    -------
    m half-widths, float32; infinite for a gene with fewer than level / (1 − level) measured rows, for which no
    finite interval has the guarantee.

    Raises
    ------
    ValueError
        If ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"`interval` must lie between 0 and 1, for example 0.9; found {level!r}.")
    ordered = np.sort(np.abs(residuals), axis=0)  # NaN last
    count = np.isfinite(residuals).sum(axis=0)
    # rounding first: (99 + 1) · 0.55 must be 55, not 55.00000000000001
    rank = np.ceil(np.round((count + 1) * level, 9)).astype(int)
    enough = (rank <= count) & (count > 0)
    width = np.full(residuals.shape[1], np.inf, dtype=np.float32)
    genes = np.flatnonzero(enough)
    width[genes] = ordered[rank[genes] - 1, genes]
    return width


def conformal_half_width_by(residuals: np.ndarray, level: float, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half-widths per gene within each label (tissue), so that coverage holds within each (Mondrian conformal).

    Parameters
    ----------
    residuals, level
        See :func:`conformal_half_width`.
    labels
        One a row (n).

    Returns
    -------
    names
        The labels, k.
    widths
        k × m. A gene with too few rows of a label gets its half-width over all rows.
    """
    names = np.unique(np.asarray(labels, dtype=str))
    overall = conformal_half_width(residuals, level)
    rows = np.asarray(labels, dtype=str)
    widths = np.stack([conformal_half_width(residuals[rows == name], level) for name in names])
    return names, np.where(np.isfinite(widths), widths, overall)


def held_out_coverage(residuals: np.ndarray, fold: np.ndarray, level: float, labels: np.ndarray | None = None) -> float:
    """Share of the values of each fold that lie within the interval which the other folds give.

    Parameters
    ----------
    residuals, level
        See :func:`conformal_half_width`.
    fold
        Fold of each row, n.
    labels
        One a row, for widths within each label (:func:`conformal_half_width_by`).

    Returns
    -------
    The share, over values with a finite interval; NaN where there is none, as of a single fold.
    """
    held, total = 0, 0
    for k in np.unique(fold):
        inside, rest = fold == k, fold != k
        width = conformal_half_width(residuals[rest], level)[None]
        if labels is not None and rest.any():
            names, widths = conformal_half_width_by(residuals[rest], level, labels[rest])
            row_of = dict(zip(names, widths, strict=True))
            width = np.stack([row_of.get(name, width[0]) for name in np.asarray(labels[inside], dtype=str)])
        known = np.isfinite(residuals[inside]) & np.isfinite(width)
        held += int((known & (np.abs(residuals[inside]) <= width)).sum())
        total += int(known.sum())
    return held / total if total else float("nan")
