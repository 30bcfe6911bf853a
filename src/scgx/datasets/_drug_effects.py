"""What drugs do: the biological half of the drug-screen simulator."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ._drug_library import draw_mechanism, read_drugs
from ._drug_screen_samples import as_fraction, expected_log1p

_RESPONDING = 0.2  # share of genes in the programme of a mechanism
_N_OWN = 10  # programmes of which a drug's own part is made
_OWN = 0.3  # spread of a drug's own part, of its mechanism's
_EC50_SPREAD = 1.0  # of the log


def draw_effects(
    drugs: pd.DataFrame,
    level: pd.DataFrame,
    doses: tuple[float, ...],
    n_mechanisms: int,
    chemistry: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Change of the natural logarithm of expression, (drug, cell_line, dose) × genes."""
    n_drugs, (n_lines, n_genes) = len(drugs), level.shape
    mechanism = drugs["mechanism"].str.removeprefix("mechanism").astype(int).to_numpy()
    own_activity = draw_mechanism(read_drugs(drugs["smiles"].to_list())[1], _N_OWN, chemistry, rng) / np.sqrt(_N_OWN)
    own = own_activity @ _programmes(_N_OWN, n_genes, rng)
    profile = _programmes(n_mechanisms, n_genes, rng)[mechanism] + _OWN * own
    ec50 = np.exp(np.log(doses).mean() + rng.normal(0, _EC50_SPREAD, n_drugs))
    potency = np.array(doses) / (np.array(doses) + ec50[:, None]) * rng.lognormal(0, 0.4, n_drugs)[:, None]
    sensitivity = rng.lognormal(0, 0.3, (n_lines, n_mechanisms))[:, mechanism]
    effects = np.einsum("dx,ld,dg->dlxg", potency, sensitivity, profile).reshape(-1, n_genes)
    conditions = pd.MultiIndex.from_product([drugs.index, level.index, doses], names=["drug", "cell_line", "dose"])
    return pd.DataFrame(effects, index=conditions, columns=level.columns)


def mean_levels(obs: pd.DataFrame, level: pd.DataFrame, effects: pd.DataFrame) -> np.ndarray:
    """Logarithm of the expression expected in each sample."""
    mean = level.to_numpy()[level.index.get_indexer(pd.Index(obs["cell_line"]))]
    treated = ~obs["is_control"].to_numpy()
    conditions = pd.MultiIndex.from_frame(obs.loc[treated, ["drug", "cell_line", "dose"]].astype({"drug": str}))
    mean[treated] += effects.to_numpy()[effects.index.get_indexer(conditions)]
    return mean


def as_cells_show(effects: pd.DataFrame, level: pd.DataFrame) -> pd.DataFrame:
    """Change of the mean of log1p of normalised counts, which is smaller, most of all in rare genes."""
    control = level.loc[effects.index.get_level_values("cell_line")].to_numpy()
    fractions = as_fraction(np.stack([control + effects.to_numpy(), control]))
    treated, untreated = expected_log1p(fractions)
    return pd.DataFrame(treated - untreated, index=effects.index, columns=effects.columns)


def _programmes(n_programmes: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((n_programmes, n_genes)) * (rng.random((n_programmes, n_genes)) < _RESPONDING)
