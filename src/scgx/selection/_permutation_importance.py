from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from scgx.estimators import BaseTranslator

_MOST_ROWS = 256  # with hundreds of target genes a row, more of them add little but cost
_REPEATS = 3


def permutation_importance(
    estimator: BaseTranslator,
    X: np.ndarray,
    Y: np.ndarray,
    *,
    tissue: np.ndarray | None = None,
    seed: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """Increase of the mean squared error when a source gene is shuffled over rows.

    Parameters
    ----------
    estimator
        A fitted translator.
    X, Y
        Source (n × p) and measured target (n × m), NaN where not measured. Rows that the estimator was fitted on
        flatter what it learned by heart; others are better.
    tissue
        One label a row, if the estimator takes it.
    seed
        Seed of the rows kept (256 at most) and of the shuffling, which is the same for every gene.
    progress
        Show a progress bar with the time left.

    Returns
    -------
    Increase for each gene (p), mean of three shuffles; below zero where shuffling happened to help.

    Notes
    -----
    Costs three predictions of up to 256 rows a gene.

    References
    ----------
    Breiman (2001), Random forests, Machine Learning 45:5.
    """
    from sklearn import inspection  # costs much at import

    rows = np.sort(np.random.default_rng(seed).permutation(len(X))[:_MOST_ROWS])
    tissue = None if tissue is None else np.asarray(tissue)[rows]
    bar = tqdm(total=1 + _REPEATS * X.shape[1], desc="permutation importance", disable=not progress, delay=2)

    def negative_error(fitted: Any, X: np.ndarray, Y: np.ndarray) -> float:
        bar.update()
        return -float(np.nanmean(np.square(Y - fitted.predict(X, tissue=tissue)), dtype=np.float64))

    result = inspection.permutation_importance(
        estimator, X[rows], Y[rows], scoring=negative_error, n_repeats=_REPEATS, random_state=seed
    )
    bar.close()
    return np.asarray(result.importances_mean)
