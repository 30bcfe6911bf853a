from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from ._platforms import LIMIT, Linear, Platform, Sequencing, linear_pair, nonlinear_pair
from ._treatments import draw_activity, draw_loadings, draw_treatments

if TYPE_CHECKING:
    from mudata import MuData

Response = Literal["linear", "nonlinear"]
_PAIRS: dict[str, Callable[[int, int, float, np.random.Generator], tuple[Platform, Linear | Sequencing]]] = {
    "linear": linear_pair,
    "nonlinear": nonlinear_pair,
}
_CHANGED = 0.08  # share of |values| >= 0.3 in Table 2 of Cong et al. (2026)
_MAX_NOISE = 0.15  # above it noise alone brings about that share
_MAX_LOG_FC = np.float32(3.0)
_BLOCK_ROWS = 256
_PART_ROWS, _PART_GENES = 1000, 500  # enough to find the scale of the fold changes


def simulate_platforms(
    n_obs: int = 600,
    n_source: int = 400,
    n_target: int = 300,
    *,
    n_shared: int | None = None,
    response: Response = "linear",
    missing: float = 0.0,
    noise: float = 0.08,
    seed: int = 0,
) -> MuData:
    r"""Simulate log10 fold changes of the same treatments on two platforms, with the truth known.

    The true log10 fold change of gene :math:`g` in row :math:`i` (compound :math:`c`, tissue :math:`t`, relative dose
    :math:`d`, duration :math:`\tau`) has low rank,

    .. math:: x_{ig} = s \sum_k \frac{d}{d + 0.3} (1 - e^{-\tau / \tau_k})\, p_{ct} (a_{ck} + 0.7\, b_{ctk})\, w_{kg},

    with 40 programs :math:`k`, sparse normal :math:`a, b, w`, log-normal potencies and gene weights, and
    :math:`|x| \le 3`. The factor :math:`s` makes 8 % of the measured target values reach 0.3 in size, as in DrugMatrix
    (Table 2 of the paper); tissues have the shares of its Table 1. A platform then reads :math:`x` as

    - ``"linear"``: :math:`y = \gamma_g x + \epsilon`, where a quarter of the source probes is compressed or dead;
    - ``"nonlinear"``: the source is a microarray,
      :math:`I = B_g + M S / (M + S)` with :math:`S = E_{tg} 10^{x_g} + r_g E_{th} 10^{x_h}` (background, saturation,
      a stray probe :math:`h`) and :math:`y = \log_{10} I / I_\text{control} + \epsilon`; the target counts reads,
      :math:`n \sim \text{NB}(\mu = N_{tg} 10^{x_g})` and :math:`y = \log_{10} (n + 1) / (N_{tg} + 1)`.

    Parameters
    ----------
    n_obs
        Number of rows: treatment × tissue. A compound has up to four a tissue: two doses × two durations.
    n_source, n_target
        Number of genes of each panel.
    n_shared
        Number of genes in both panels, which have equal names there; ``None`` for a quarter of the smaller panel.
    response
        How platforms read the truth.
    missing
        Fraction of values set to NaN in both panels, at random, in [0, 1).
    noise
        Standard deviation of the noise (log10 units), in [0, 0.15]. Counts have Poisson noise on top of it.
    seed
        Equal seeds give equal data.

    Returns
    -------
    MuData with modalities ``"source"`` and ``"target"`` of equal ``obs_names``, float32 log10 fold changes within
    (-5, 5) in ``.X``, and, in ``.obs`` of the MuData and of both modalities, ``tissue``, ``compound``, ``dose``
    (mg/kg), ``duration_days``. ``mdata["target"].layers["truth"]`` is what the target platform would read without
    noise and gaps: :math:`\gamma_g x`, or :math:`\log_{10} (N 10^x + 1) / (N + 1)`. Its skill,
    1 - SSE(truth) / SSE(gene mean), is the highest within reach (of counts up to the small bias of their logarithm).

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    Cong et al., BMC Bioinformatics 2026, Tables 1 and 2.

    Examples
    --------
    >>> import scgx
    >>> mdata = scgx.datasets.simulate_platforms(n_obs=200, seed=1)
    >>> mdata["source"].shape, mdata["target"].shape
    ((200, 400), (200, 300))
    """
    import mudata  # costs 0.1 s, and only this function needs it

    n_shared = min(n_source, n_target) // 4 if n_shared is None else n_shared
    _check(n_obs, n_source, n_target, n_shared, response, missing, noise)
    rng = np.random.default_rng(seed)
    treatments = draw_treatments(n_obs, rng)
    tissue = treatments["tissue"].cat.codes.to_numpy()
    activity = draw_activity(treatments, rng)
    loadings = draw_loadings(n_source + n_target - n_shared, rng)
    source_loadings, target_loadings = loadings[:, :n_source], loadings[:, -n_target:]
    source, target = _PAIRS[response](n_source, n_target, noise, rng)
    activity = activity * _scale(activity, target_loadings, tissue, target, rng)

    X_source, _ = _measure(source, activity, source_loadings, tissue, rng)
    X_target, truth = _measure(target, activity, target_loadings, tissue, rng)
    for X in (X_source, X_target):
        X[rng.random(X.shape, dtype=np.float32) < missing] = np.nan

    obs = treatments.drop(columns="relative_dose")
    genes = pd.Index([f"G{i:05d}" for i in range(loadings.shape[1])])
    modalities = {
        "source": AnnData(X_source, obs=obs.copy(), var=pd.DataFrame(index=genes[:n_source])),
        "target": AnnData(X_target, obs=obs.copy(), var=pd.DataFrame(index=genes[-n_target:]), layers={"truth": truth}),
    }
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData(modalities)
    mdata.obs = obs
    return mdata


def _check(
    n_obs: int, n_source: int, n_target: int, n_shared: int, response: str, missing: float, noise: float
) -> None:
    for name, size in (("n_obs", n_obs), ("n_source", n_source), ("n_target", n_target)):
        if size < 1:
            raise ValueError(f"{name}={size}, expected at least 1")
    if not 0 <= n_shared <= min(n_source, n_target):
        raise ValueError(f"n_shared={n_shared}, expected 0 to {min(n_source, n_target)}, the size of the smaller panel")
    if response not in _PAIRS:
        raise ValueError(f"response={response!r}, expected one of {', '.join(map(repr, _PAIRS))}")
    if not 0 <= missing < 1:
        raise ValueError(f"missing={missing}, expected a fraction in [0, 1)")
    if not 0 <= noise <= _MAX_NOISE:
        raise ValueError(f"noise={noise}, expected 0 to {_MAX_NOISE} log10 units")


def _scale(
    activity: np.ndarray,
    loadings: np.ndarray,
    tissue: np.ndarray,
    target: Linear | Sequencing,
    rng: np.random.Generator,
) -> float:
    """Factor on the activities that brings 8 % of the measured values to 0.3 in size, found on a part of the data."""
    rows, genes = slice(_PART_ROWS), slice(_PART_GENES)
    log_fc = activity[rows] @ loadings[:, genes]
    part = target.subset(genes)
    noise_seed = rng.integers(2**32)  # equal noise in every trial keeps the share monotone in the factor
    start = np.log10(0.3 / np.sqrt(np.mean(log_fc**2)))
    low, high = start - 1.0, start + 0.5
    for _ in range(9):  # to 0.003 log10 units
        middle = (low + high) / 2
        scaled = _bounded(np.float32(10**middle) * log_fc)
        measured = part.measured(scaled, tissue[rows], np.random.default_rng(noise_seed))
        if np.mean(np.abs(measured) >= 0.3) < _CHANGED:
            low = middle
        else:
            high = middle
    return float(10**middle)


def _bounded(log_fc: np.ndarray) -> np.ndarray:
    return np.clip(log_fc, -_MAX_LOG_FC, _MAX_LOG_FC)


def _measure(
    platform: Platform, activity: np.ndarray, loadings: np.ndarray, tissue: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Measured and noiseless values, n_obs × genes, block by block: the platforms need several temporaries."""
    measured = np.empty((len(activity), loadings.shape[1]), dtype=np.float32)
    truth = np.empty_like(measured)
    for start in range(0, len(activity), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        log_fc = _bounded(activity[rows] @ loadings)
        measured[rows] = np.clip(platform.measured(log_fc, tissue[rows], rng), -LIMIT, LIMIT)
        truth[rows] = np.clip(platform.expected(log_fc, tissue[rows]), -LIMIT, LIMIT)
    return measured, truth
