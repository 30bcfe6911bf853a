"""Who was treated with what, and what it did: the biological half of the simulator."""

from __future__ import annotations

import numpy as np
import pandas as pd

# CodeLink row of Table 1 (millions of measured values), Cong et al. (2026)
TISSUE_SHARES = {"LI": 14.2, "KI": 7.7, "HE": 5.3, "SM": 0.2, "BM": 2.7, "BR": 0.55, "IN": 0.17, "SP": 1.5}
N_PROGRAMS = 40
_ACTIVE = 0.3  # fraction of programs a compound moves, and of programs a gene belongs to
_DURATIONS = np.array([0.25, 1.0, 3.0, 5.0])  # days
_LOW_DOSE = 0.25  # of the high dose
_HALF_DOSE = 0.3  # relative dose of the half-maximal effect
_BLOCK = 4  # rows of one compound in one tissue: two doses × two durations


def draw_treatments(n_obs: int, rng: np.random.Generator) -> pd.DataFrame:
    """One row a treatment × tissue; a compound has up to two doses × two durations in a tissue."""
    n_rows = _apportion(n_obs)
    n_blocks = -(-n_rows // _BLOCK)
    n_compounds = max(-(-n_obs // (2 * _BLOCK)), n_blocks.max())
    compound = np.concatenate([rng.permutation(n_compounds)[:n] for n in n_blocks])  # at most once a tissue
    durations = rng.permuted(np.tile(_DURATIONS, (len(compound), 1)), axis=1)[:, :2]
    high_dose = np.round(10 ** rng.uniform(0.5, 3, n_compounds), 1)  # mg/kg
    rows = pd.DataFrame(
        {
            "tissue": np.repeat(np.repeat(list(TISSUE_SHARES), n_blocks), _BLOCK),
            "compound": np.repeat(compound, _BLOCK),
            "dose": np.repeat(high_dose[compound], _BLOCK) * np.tile([1, 1, _LOW_DOSE, _LOW_DOSE], len(compound)),
            "duration_days": np.tile(durations, 2).ravel(),
            "relative_dose": np.tile([1, 1, _LOW_DOSE, _LOW_DOSE], len(compound)),
        }
    )
    limit = rows["tissue"].map(dict(zip(TISSUE_SHARES, n_rows, strict=True)))
    rows = rows[rows.groupby("tissue").cumcount() < limit].iloc[rng.permutation(n_obs)]
    compound_names = rows["compound"].map("C{:04d}".format)
    rows.index = pd.Index(
        [
            f"{name}-{days:g}d-{dose:g}mg/kg-{tissue}"
            for name, days, dose, tissue in zip(
                compound_names, rows["duration_days"], rows["dose"], rows["tissue"], strict=True
            )
        ]
    )
    return rows.assign(
        compound=pd.Categorical(compound_names), tissue=pd.Categorical(rows["tissue"], categories=list(TISSUE_SHARES))
    )


def _apportion(n_obs: int) -> np.ndarray:
    """Rows of each tissue by largest remainder: exact shares at any size."""
    quota = n_obs * np.array(list(TISSUE_SHARES.values())) / sum(TISSUE_SHARES.values())
    n_rows = np.floor(quota).astype(int)
    n_rows[np.argsort(n_rows - quota, kind="stable")[: n_obs - n_rows.sum()]] += 1
    return n_rows


def draw_activity(treatments: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Activity of each program in each row, n_obs × programs."""
    compound, _ = pd.factorize(treatments["compound"])
    pair = treatments.groupby(["compound", "tissue"], observed=True).ngroup().to_numpy()
    everywhere = _sparse_normal((compound.max() + 1, N_PROGRAMS), rng)
    in_tissue = _sparse_normal((pair.max() + 1, N_PROGRAMS), rng)
    potency = rng.lognormal(0, 0.3, pair.max() + 1)
    onset = rng.lognormal(0, 0.7, N_PROGRAMS)  # days
    dose = treatments["relative_dose"].to_numpy()
    dose_effect = potency[pair] * dose / (dose + _HALF_DOSE)
    time_effect = 1 - np.exp(-treatments["duration_days"].to_numpy()[:, None] / onset)
    activity = (everywhere[compound] + 0.7 * in_tissue[pair]) * dose_effect[:, None] * time_effect
    return activity.astype(np.float32)


def draw_loadings(n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Weight of each gene in each program, programs × genes; some genes respond far more than others."""
    loadings = _sparse_normal((N_PROGRAMS, n_genes), rng) * rng.lognormal(0, 0.3, n_genes)
    return loadings.astype(np.float32)


def _sparse_normal(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape) * (rng.random(shape) < _ACTIVE)
