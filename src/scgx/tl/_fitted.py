from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scgx._core import TrainingData
from scgx.estimators import column_mean
from scgx.selection import AutoTranslator, conformal_half_width, conformal_half_width_by, held_out_coverage


@dataclass(frozen=True)
class Fitted:
    """What a fitted :class:`Translator` knows: all that is needed to predict, and how good it is.

    Attributes
    ----------
    estimator
        Predicts the target panel from ``source_genes``.
    source_genes, target_genes
        Feature names, p and m.
    pairs
        Shared genes, k × 2: source column, target column.
    half_width
        Half-width of the interval of each target gene, m.
    tissues, tissue_half_width
        The same within each tissue, k names and k × m; k is 0 without ``tissue_key``.
    coverage
        Share of held-out measurements within the interval, each fold's interval coming from the other folds.
    n_measured
        Rows that were fitted.
    source_mean, source_deviation
        Of the rows that were fitted, p.
    source_shift, target_offset
        What :meth:`Translator.calibrate` takes from the source (p) and adds to the prediction (m).
    source_scale
        By what it divides the source's deviations from the training mean, after the shift (p); ``None`` is 1.
    calibration
        How these were found, in words.
    target_scores, target_coverage
        How good the prediction of the held-out target tissue is, in the cross-tissue modes; see
        :func:`scgx.tl._target_tissue.target_tissue_scores`.
    rows
        Which rows those were in the data fitted on; ``None`` after :meth:`Translator.load`.
    """

    estimator: AutoTranslator
    source_genes: np.ndarray
    target_genes: np.ndarray
    pairs: np.ndarray
    half_width: np.ndarray
    tissues: np.ndarray
    tissue_half_width: np.ndarray
    coverage: float
    n_measured: int
    source_mean: np.ndarray
    source_deviation: np.ndarray
    source_shift: np.ndarray
    target_offset: np.ndarray
    source_scale: np.ndarray | None = None
    calibration: str = "none"
    target_scores: dict[str, np.ndarray] = field(default_factory=dict)
    target_coverage: float = np.nan
    rows: np.ndarray | None = None

    def adapted(self, X: np.ndarray) -> np.ndarray:
        """Source values (rows × p) of a calibrated study as the training study would have measured them."""
        if self.source_scale is None:
            return X - self.source_shift
        return self.source_mean + (X - self.source_mean - self.source_shift) / self.source_scale


def fitted_from(estimator: AutoTranslator, training: TrainingData, interval: float) -> Fitted:
    """Gather what a fitted estimator and its training rows tell, interval widths among it."""
    residuals = training.Y - estimator.out_of_fold_
    tissues, by_tissue = np.empty(0, dtype=str), np.empty((0, residuals.shape[1]), dtype=np.float32)
    if training.tissue is not None:
        tissues, by_tissue = conformal_half_width_by(residuals, interval, training.tissue)
    mean = column_mean(training.X)
    return Fitted(
        estimator=estimator,
        source_genes=training.source_genes,
        target_genes=training.target_genes,
        pairs=training.pairs,
        half_width=conformal_half_width(residuals, interval),
        tissues=tissues,
        tissue_half_width=by_tissue,
        coverage=held_out_coverage(residuals, estimator.fold_, interval, training.tissue),
        n_measured=len(training.rows),
        source_mean=mean,
        source_deviation=np.sqrt(column_mean((training.X - mean) ** 2)),
        source_shift=np.zeros(len(training.source_genes), dtype=np.float32),
        target_offset=np.zeros(len(training.target_genes), dtype=np.float32),
        rows=training.rows,
    )
