from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

_BOUNDS = (1e-4, 1e1)  # of a weight, in units of the mean square of the targets


def kernel_weights(
    components: Sequence[np.ndarray], products: np.ndarray, *, max_iter: int = 30
) -> tuple[np.ndarray, float]:
    r"""Weights of a sum of kernels by marginal likelihood, all targets sharing them.

    With :math:`K = \sum_k w_k K_k + \sigma^2 I` and targets :math:`Y` (n × m, independent given K) this minimises
    :math:`\log\det K + \operatorname{tr}(K^{-1} Y Y^\top / m)` over log weights by L-BFGS with the exact gradient.

    Parameters
    ----------
    components
        Kernel matrices :math:`K_k`, n × n.
    products
        :math:`Y Y^\top / m`, n × n.
    max_iter
        Steps at most.

    Returns
    -------
    weights
        :math:`w_k`, in the unit of ``products``.
    noise
        :math:`\sigma^2`.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, eq. 5.8 and 5.9.
    """
    n = len(products)
    scale = max(float(np.trace(products)) / n, np.finfo(float).tiny)
    S = products.astype(float) / scale
    kernels = [kernel.astype(float) for kernel in components]

    def loss(log_weights: np.ndarray) -> tuple[float, np.ndarray]:
        weights = np.exp(log_weights)
        K = weights[-1] * np.eye(n)
        for weight, kernel in zip(weights, kernels, strict=False):
            K += weight * kernel
        factor = cho_factor(K, lower=True)
        inverse = cho_solve(factor, np.eye(n))
        explained = inverse @ S
        value = 2 * np.log(np.diag(factor[0])).sum() + np.trace(explained)
        slope = inverse - explained @ inverse
        gradient = [np.vdot(slope, kernel) for kernel in kernels] + [np.trace(slope)]
        return value / n, weights * np.array(gradient) / n

    start = np.log([*np.full(len(kernels), 0.5 / max(len(kernels), 1)), 0.5])
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(np.log(_BOUNDS))] * len(start),
        options={"maxiter": max_iter},
    )
    weights = np.exp(found.x) * scale
    return weights[:-1], float(weights[-1])
