"""Wells and single cells of a drug screen: the measuring half of the simulator."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

COUNTS_PER_GENE = 1.0  # of a cell of median depth, mean over genes
_DISPERSION = 0.3  # variance of a count of mean m is m + 0.3 m²
_DEPTH_SPREAD = 0.35  # of the log of a cell's depth
_BULK_LEVEL = 7.0  # mean of a well


def lay_out(
    drugs: pd.DataFrame,
    lines: list[str],
    doses: tuple[float, ...],
    prefix: str,
    *,
    n_plates: int,
    n_copies: int,
    n_controls: int,
    n_each: int,
) -> pd.DataFrame:
    """List the samples: each drug and dose on ``n_copies`` plates of every line, ``n_each`` times, and controls.

    Returns
    -------
    A row a sample, as ``.obs`` of the screen has it. Copies of a drug are on different plates as far as there are any.
    """
    first = np.arange(len(drugs)) * n_plates // max(len(drugs), 1)
    copy, drug, dose, line = (
        i.ravel() for i in np.meshgrid(*map(np.arange, (n_copies, len(drugs), len(doses), len(lines))), indexing="ij")
    )
    treated = pd.DataFrame(
        {
            "drug": drugs.index.to_numpy()[drug],
            "smiles": drugs["smiles"].to_numpy()[drug],
            "dose": np.array(doses)[dose],
            "cell_line": np.array(lines)[line],
            "plate": (first[drug] + copy) % n_plates,
            "mechanism": drugs["mechanism"].to_numpy()[drug],
            "is_control": False,
        }
    )
    on_plate, line = (i.ravel() for i in np.indices((n_plates, len(lines))))
    controls = pd.DataFrame({"drug": "control", "smiles": "", "dose": 0.0, "cell_line": np.array(lines)[line]})
    controls = controls.assign(plate=on_plate, mechanism="", is_control=True)
    obs = pd.concat([_repeat(treated, n_each), _repeat(controls, n_controls)], ignore_index=True)
    obs["plate"] = prefix + "_" + obs["cell_line"] + "_plate" + obs["plate"].astype(str)
    obs = obs.astype(dict.fromkeys(("drug", "smiles", "cell_line", "plate", "mechanism"), "category"))
    return obs.set_axis(pd.Index([f"{prefix}{i:06d}" for i in range(len(obs))]))


def measure_wells(
    obs: pd.DataFrame, mean: np.ndarray, genes: pd.Index, plate_noise: float, noise: float, rng: np.random.Generator
) -> AnnData:
    """Wells: the mean, what the plate adds to all its wells, what each well adds."""
    plate = _plate_offset(obs, mean.shape[1], plate_noise, rng)
    X = _BULK_LEVEL + mean + plate + rng.normal(0, noise, mean.shape)
    return AnnData(X.astype(np.float32), obs=obs, var=pd.DataFrame(index=genes))


def measure_cells(
    obs: pd.DataFrame, mean: np.ndarray, genes: pd.Index, plate_noise: float, rng: np.random.Generator
) -> AnnData:
    """Single cells: negative binomial counts of the depth of the cell, and log1p of counts at the median depth."""
    fraction = as_fraction(mean + _plate_offset(obs, mean.shape[1], plate_noise, rng))
    depth = _median_depth(mean.shape[1]) * rng.lognormal(0, _DEPTH_SPREAD, len(obs))
    rate = rng.gamma(1 / _DISPERSION, _DISPERSION, mean.shape) * fraction * depth[:, None]
    counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    total = np.maximum(counts.sum(axis=1).A1, 1)
    normal = sparse.diags_array(_median_depth(mean.shape[1]) / total).astype(np.float32) @ counts
    X = sparse.csr_matrix(normal).log1p()
    return AnnData(X, obs=obs, var=pd.DataFrame(index=genes), layers={"counts": counts})


def as_fraction(log_level: np.ndarray) -> np.ndarray:
    """Share of each gene in a cell's molecules, rows of sum 1."""
    level = np.exp(log_level)
    return level / level.sum(axis=-1, keepdims=True)


def expected_log1p(fraction: np.ndarray) -> np.ndarray:
    """Mean of log1p of the normalised count of a gene that holds this fraction of a cell's molecules.

    The sum over counts of the negative binomial, at nine depths (Gauss–Hermite), on a grid of fractions.
    """
    from scipy.stats import nbinom

    median = _median_depth(fraction.shape[-1])
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    depth = median * np.exp(_DEPTH_SPREAD * nodes)
    grid = np.linspace(np.log(fraction.min()), np.log(fraction.max()), 100)
    counts = np.arange(int(10 * depth.max() * fraction.max()) + 20)
    if len(counts) > 400:  # the logarithm is smooth where counts are large
        counts = np.unique(np.concatenate([counts[:200], np.geomspace(200, counts[-1], 400).astype(int)]))
    size = 1 / _DISPERSION
    rate = np.exp(grid)[:, None] * depth
    mass = np.diff(nbinom.cdf(counts, size, (size / (size + rate))[..., None]), prepend=0, axis=-1)
    middle = (np.append(-1, counts[:-1]) + 1 + counts) / 2
    mean = (mass * np.log1p(middle * (median / depth)[:, None])).sum(axis=-1)
    return np.interp(np.log(fraction), grid, mean @ (weights / weights.sum()))


def _median_depth(n_genes: int) -> float:
    return COUNTS_PER_GENE * n_genes


def _plate_offset(obs: pd.DataFrame, n_genes: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    plate = obs["plate"].cat
    return rng.normal(0, spread, (len(plate.categories), n_genes))[plate.codes]


def _repeat(table: pd.DataFrame, times: int) -> pd.DataFrame:
    return table.loc[np.repeat(table.index, times)]
