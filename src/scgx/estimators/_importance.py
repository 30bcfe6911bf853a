"""How far a source gene moves predictions: the norm of a linear map or of a gradient, in target units."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

_MOST_ROWS = 256  # rows at which a gradient is taken
_MOST_DIRECTIONS = 32  # leading target directions that a gradient is followed along


def spread(scaled: np.ndarray) -> np.ndarray:
    """Root mean square deviation of each gene (p) from its training mean, over rows of centred values."""
    return np.sqrt(np.square(scaled, dtype=np.float64).mean(axis=0))


def linear_importance(left: np.ndarray, right: np.ndarray, scaled: np.ndarray) -> np.ndarray:
    """Norm over targets of each gene's coefficients, times the gene's spread.

    Parameters
    ----------
    left, right
        Factors of the coefficients ``left @ right``, p × k and k × m; the p × m product is never made.
    scaled
        Centred source values in the unit of the coefficients, rows × p.

    Returns
    -------
    Importance of each gene (p) in target units: over the rows, the root mean square of what the gene alone moves the
    predicted profile.
    """
    gram = (right @ right.T).astype(np.float64)
    squared = np.einsum("pk,pk->p", left @ gram, left)
    return np.sqrt(np.maximum(squared, 0)) * spread(scaled)


def gradient_importance(scaled: np.ndarray, basis: np.ndarray, weights: np.ndarray, gamma: float) -> np.ndarray:
    r"""Root mean square gradient of an RBF kernel expansion, times the gene's spread.

    Parameters
    ----------
    scaled
        Centred source values, rows × p.
    basis, weights, gamma
        The expansion :math:`\hat y(x) = \sum_i e^{-\gamma \lVert x - b_i \rVert^2} w_i`, basis n × p, weights n × m.

    Returns
    -------
    Importance of each gene (p), which for a linear function is :func:`linear_importance`. The gradient is taken at 256
    rows at most, evenly spread, and followed along the 32 leading target directions.
    """
    values, vectors = eigh((weights @ weights.T).astype(np.float64))
    # n × k with the same inner products as the weights, so the norm over targets is that over k
    directions = (vectors * np.sqrt(np.maximum(values, 0)))[:, -_MOST_DIRECTIONS:].astype(np.float32)
    rows = scaled[:: -(-len(scaled) // _MOST_ROWS)]
    squared = np.zeros(scaled.shape[1])
    for row in rows:
        difference = basis - row
        kernel = np.exp(-gamma * np.einsum("np,np->n", difference, difference))
        gradient = 2 * gamma * (directions * kernel[:, None]).T @ difference
        squared += np.einsum("kp,kp->p", gradient, gradient)
    return np.sqrt(squared / len(rows)) * spread(scaled)
