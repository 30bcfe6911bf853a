"""What is held out of a simulated screen, and the halves of its control cells."""

from __future__ import annotations

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from drugs_screens import KEYS

import scgx
from scgx._core.molecules import morgan_fingerprints
from scgx.datasets import SimulatedDrugScreen
from scgx.estimators import Conditions
from scgx.metrics import split_controls
from scgx.selection import MeasuredResponses


@dataclass(frozen=True)
class Task:
    """Conditions to predict, and what may be learned from.

    Attributes
    ----------
    bulk, cells
        To learn from; of the control cells of ``cells`` one half.
    asked
        One row a condition: drug, smiles, cell_line, dose, plate, stratum, ``effect`` (size of the true change).
    truth
        True change of each condition, k × g.
    cells_of
        Measured cells of each condition.
    for_truth, for_prediction
        Control cells of each plate, in halves: measured changes are taken against the first, predictions start from the other.
    query
        The control cells that predictions start from.
    """

    bulk: AnnData
    cells: AnnData
    asked: pd.DataFrame
    truth: np.ndarray
    cells_of: list[np.ndarray]
    for_truth: dict[str, np.ndarray]
    for_prediction: dict[str, np.ndarray]
    query: AnnData

    def controls(self, side: dict[str, np.ndarray]) -> np.ndarray:
        """Mean control profile of the plate of each condition, k × g."""
        mean = {plate: cells.mean(axis=0, dtype=np.float64) for plate, cells in side.items()}
        return np.stack([mean[plate] for plate in self.asked["plate"]])

    def measured(self) -> MeasuredResponses:
        """Changes of the conditions to learn from."""
        predictor = scgx.tl.PerturbationPredictor("mean_delta", **KEYS).fit(self.cells)
        return predictor.reference.measured

    def conditions(self) -> Conditions:
        """The conditions asked for, as responses take them."""
        return Conditions(
            tuple((drug,) for drug in self.asked["drug"]),
            self.asked["cell_line"].to_numpy(dtype=str),
            self.controls(self.for_prediction),
            log_dose=np.log10(self.asked["dose"].to_numpy()),
            features=morgan_fingerprints(self.asked["smiles"]),
        )


def make_task(screen: SimulatedDrugScreen, split: str, seed: int) -> Task:
    """``"drug"``: drugs that are in neither screen, of known and of novel mechanism, and a quarter of those in ``cells``, which
    stay in bulk (the paper's case). ``"scaffold"``: a quarter of the scaffolds of ``cells``, taken out of both screens.
    """
    drugs, rng = screen.drugs, np.random.default_rng([seed, 1])
    of_cells = drugs.index[drugs["in_cells"]]
    if split == "drug":
        held = set(rng.permutation(of_cells)[: len(of_cells) // 4])
        everything = ad.concat([screen.cells, screen.unseen])
        bulk, stratum = screen.bulk, dict.fromkeys(held, "in bulk only")
        for name, row in drugs[~drugs["in_bulk"]].iterrows():
            stratum[str(name)] = "novel mechanism" if row["novel_mechanism"] else "known mechanism"
    else:
        scaffolds = rng.permutation(np.unique(drugs.loc[of_cells, "scaffold"]))
        out = drugs["scaffold"].isin(scaffolds[: -(-len(scaffolds) // 4)])
        held, everything = set(drugs.index[out & drugs["in_cells"]]), screen.cells
        bulk = screen.bulk[~screen.bulk.obs["drug"].isin(drugs.index[out])].copy()
        stratum = dict.fromkeys(held, "scaffold held out")
    obs = everything.obs
    halves = {
        plate: split_controls(np.flatnonzero((obs["plate"] == plate) & obs["is_control"]), seed=seed)
        for plate in obs["plate"].unique()
    }
    first = np.concatenate([half for half, _ in halves.values()])
    second = np.concatenate([half for _, half in halves.values()])
    learned = ~obs["drug"].isin(held) & obs_in(everything, screen.cells)
    learned[learned.index[first]] = False
    X = everything.X.toarray()
    groups = obs[obs["drug"].isin(stratum)].reset_index(drop=True)
    position = np.flatnonzero(obs["drug"].isin(stratum))
    keys = ["drug", "smiles", "cell_line", "dose", "plate"]
    of_condition = {key: position[rows] for key, rows in groups.groupby(keys, observed=True).indices.items()}
    asked = pd.DataFrame(list(of_condition), columns=keys)
    truth = screen.effects["cells"].loc[list(zip(asked["drug"], asked["cell_line"], asked["dose"], strict=True))]
    asked["stratum"] = asked["drug"].map(stratum)
    asked["effect"] = np.linalg.norm(truth, axis=1)
    return Task(
        bulk=bulk,
        cells=everything[learned.to_numpy()].copy(),
        asked=asked,
        truth=truth.to_numpy(),
        cells_of=[X[rows] for rows in of_condition.values()],
        for_truth={plate: X[half] for plate, (half, _) in halves.items()},
        for_prediction={plate: X[half] for plate, (_, half) in halves.items()},
        query=everything[second].copy(),
    )


def obs_in(everything: AnnData, part: AnnData) -> pd.Series:
    """Whether each row is one of ``part``."""
    return pd.Series(everything.obs_names.isin(part.obs_names), index=everything.obs_names)
