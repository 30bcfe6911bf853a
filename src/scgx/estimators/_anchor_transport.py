from __future__ import annotations

import numpy as np

from scgx._core.similarity import unit_rows
from scgx.estimators._profile_shape import normal_scores

_N_NEIGHBORS = 30


def transported_cost(query: np.ndarray, reference: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Distance of profiles after genes were matched by a few profiles whose identity is known.

    In the space of the k anchor profiles (normal scores) each reference gene takes the mean of its 30 nearest query genes:
    that mean carries every other query profile over to the reference genes, where it is compared by correlation.

    Parameters
    ----------
    query, reference
        Log expression, n × genes and m × other genes.
    anchors
        Reference row of each query row, n; −1 where not known.

    Returns
    -------
    1 − correlation of the carried-over query profiles with the reference profiles, n × m, both centred gene by gene
    over the profiles that are no anchors; 0 for anchors.
    """
    from sklearn.neighbors import NearestNeighbors

    known, rows = np.flatnonzero(anchors >= 0), np.flatnonzero(anchors < 0)
    columns = np.setdiff1d(np.arange(len(reference)), anchors[known])
    query, reference = _scores_of_varying(query), _scores_of_varying(reference)
    neighbors = NearestNeighbors(n_neighbors=min(_N_NEIGHBORS, query.shape[1])).fit(query[known].T)
    nearest = neighbors.kneighbors(reference[anchors[known]].T, return_distance=False)
    carried = query[rows][:, nearest].mean(axis=2)
    cost = np.zeros((len(query), len(reference)))
    cost[np.ix_(rows, columns)] = 1 - unit_rows(_centred(carried)) @ unit_rows(_centred(reference[columns])).T
    return cost


def _scores_of_varying(X: np.ndarray) -> np.ndarray:
    X = np.asarray(X, dtype=np.float64)
    return normal_scores(X[:, np.ptp(X, axis=0) > 0])


def _centred(X: np.ndarray) -> np.ndarray:
    return X - X.mean(axis=0) if len(X) > 1 else X
