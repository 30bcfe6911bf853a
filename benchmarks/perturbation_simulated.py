"""A screen with known truth: effects and interactions of perturbed genes depend on the gene sets they are in."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from anndata import AnnData

N_SETS, N_GENES = 12, 120


def simulated_screen(
    *, n_names: int = 50, n_doubles: int = 80, n_cells: int = 40, noise: float = 0.4, seed: int = 0
) -> tuple[AnnData, pd.DataFrame]:
    """Cells of singles and doubles, and the sets of each perturbed gene.

    Each set has an effect on the measured genes. Two genes of the same set do together what one does (the set counts
    once: no sum), and some pairs of sets have an effect only together, in one gene or in two.
    """
    rng = np.random.default_rng(seed)
    sets = (rng.random((n_names, N_SETS)) < 0.2).astype(float)
    sets[np.arange(n_names), rng.integers(N_SETS, size=n_names)] = 1
    pairs = list(combinations(range(N_SETS), 2))
    chosen = [pairs[k] for k in rng.choice(len(pairs), 12, replace=False)]
    # modules of genes move together, as co-expression has it
    modules = rng.normal(size=(10, N_GENES)) * (rng.random((10, N_GENES)) < 0.3)
    effect, synergy = (0.35 * rng.normal(size=(n, 10)) @ modules for n in (N_SETS, len(chosen)))
    names = [f"P{k:02d}" for k in range(n_names)]
    doubles = list(combinations(range(n_names), 2))
    doubles = [doubles[k] for k in rng.choice(len(doubles), n_doubles, replace=False)]
    conditions = [("control", []), *((names[k], [k]) for k in range(n_names))]
    conditions += [(f"{names[a]}+{names[b]}", [a, b]) for a, b in doubles]
    start = rng.uniform(2, 4, N_GENES)
    blocks, labels = [], []
    for label, members in conditions:
        active = sets[members].max(axis=0) if members else np.zeros(N_SETS)
        both = np.array([active[s] * active[t] for s, t in chosen])
        n = 5 * n_cells if not members else n_cells
        state = 0.3 * rng.normal(size=(n, 10)) @ modules
        blocks.append(start + active @ effect + both @ synergy + state + noise * rng.normal(size=(n, N_GENES)))
        labels += [label] * n
    obs = pd.DataFrame({"perturbation": labels}, index=[f"cell{i}" for i in range(len(labels))])
    var = pd.DataFrame(index=[f"G{j:03d}" for j in range(N_GENES)])
    X = np.maximum(np.concatenate(blocks), 0).astype(np.float32)
    return AnnData(X, obs=obs, var=var), pd.DataFrame(sets, index=names, columns=[f"S{s}" for s in range(N_SETS)])
