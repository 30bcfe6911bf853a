"""What predicts the change of each condition of a task without being DrugBERT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from drugs_cvae import fit_cvae, treated
from drugs_screens import KEYS
from drugs_tasks import Task

import scgx
from scgx.estimators import ConditionKernelRidge, Conditions
from scgx.metrics import pearson
from scgx.selection import make_responses

CLOSED = ("no_change", "mean_delta", "tanimoto_knn", "kernel_ridge", "random_forest")
#: the forest takes nine tenths of the time of ``auto``
AUTO = ["mean_delta", "tanimoto_knn", "ridge", "kernel_ridge"]
FIVE = 5


@dataclass(frozen=True)
class Predicted:
    """Change of each condition (k × g); cells, if they are more than control cells that were shifted; epoch; CPU seconds."""

    change: np.ndarray
    cells: list[np.ndarray] | None = None
    epoch: float = float("nan")
    seconds: float = float("nan")


def closed_forms(task: Task, seed: int) -> dict[str, Predicted]:
    """Responses of the package, the choice among them, and kernel ridge that is asked for other drugs than those scored."""
    learned, asked = task.measured(), task.conditions()
    known, delta = learned.conditions, learned.delta
    out = {
        name: Predicted(response.fit(known, delta).predict(asked))
        for name, response in make_responses(CLOSED, known, seed=seed).items()
    }
    predictor = scgx.tl.PerturbationPredictor(AUTO, **KEYS, seed=seed).fit(task.cells)
    record = predictor.predict(task.query, task.asked.drop(columns="plate")).uns["perturbation_predicted"]
    out["auto"] = Predicted(np.asarray(record["change"]))
    permuted = np.random.default_rng(seed).permutation(task.asked["drug"].unique())
    of_drug = dict(zip(task.asked["drug"].unique(), permuted, strict=True))
    first = task.asked.drop_duplicates("drug").reset_index().set_index("drug")["index"]
    rows = np.array([first[of_drug[drug]] for drug in task.asked["drug"]])
    swapped = Conditions(asked.perturbations, asked.context, asked.control, asked.log_dose, asked.features[rows])
    kernel = ConditionKernelRidge(seed=seed).fit(known, delta)
    out["kernel_ridge, permuted drugs"] = Predicted(kernel.predict(swapped))
    return out


def novelty(task: Task) -> np.ndarray:
    """1 − largest Tanimoto similarity to a drug of ``cells``, of each condition: what ``auto`` reports."""
    known = task.measured().conditions
    return scgx.selection.perturbation_novelty(task.conditions(), known)[0]


def from_bulk(task: Task, seed: int) -> dict[str, Predicted]:
    """What bulk says, in units of cells: kernel ridge on all bulk drugs, and the paper's kNN by bulk profile.

    The gain of each gene from bulk to cells is fitted on the drugs that both have. ``own bulk profile`` is what was measured of the
    drug. kNN takes the cells of the five conditions of the same line and dose whose bulk profile is most alike; where a drug is not in
    bulk, its bulk profile is what kernel ridge on bulk predicts. ``random`` takes five at random.
    """
    learned, asked = task.measured(), task.conditions()
    known, delta = learned.conditions, learned.delta
    bulk = scgx.tl.PerturbationPredictor("mean_delta", **KEYS).fit(task.bulk).reference.measured
    kernel = ConditionKernelRidge(seed=seed).fit(bulk.conditions, bulk.delta)
    source, guess = kernel.predict(known), kernel.predict(asked)
    out = {"kernel_ridge of bulk": Predicted(guess * gain_of_gene(source, delta))}
    of_bulk = {condition_key(bulk.conditions, k): bulk.delta[k] for k in range(len(bulk.conditions))}
    own = np.stack([of_bulk.get(condition_key(asked, k), guess[k]) for k in range(len(asked))])
    theirs = np.stack([of_bulk[condition_key(known, k)] for k in range(len(known))])
    out["own bulk profile"] = Predicted(own * gain_of_gene(theirs, delta))
    rng, rows = np.random.default_rng(seed), {"random": [], "knn by bulk": []}
    for k in range(len(asked)):
        alike = np.flatnonzero((known.context == asked.context[k]) & np.isclose(known.log_dose, asked.log_dose[k]))
        r = pearson(theirs[alike], np.tile(own[k], (len(alike), 1)))
        rows["knn by bulk"].append(alike[np.argsort(-r)[:FIVE]])
        rows["random"].append(rng.permutation(alike)[:FIVE])
    cells = condition_cells(task, known)
    for name, chosen in rows.items():
        change = np.stack([delta[some].mean(axis=0) for some in chosen])
        out[name] = Predicted(change, [np.concatenate([cells[row] for row in some]) for some in chosen])
    return out


def gain_of_gene(source: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Slope of each gene through the origin, that of all genes counting as ten more rows."""
    usual = (source * delta).sum() / (source**2).sum()
    prior = 10 * (source**2).mean()
    return ((source * delta).sum(axis=0) + usual * prior) / ((source**2).sum(axis=0) + prior)


def condition_key(conditions: Conditions, k: int) -> tuple[str, str, float]:
    """Drug, line and dose of a condition."""
    return conditions.perturbations[k][0], str(conditions.context[k]), round(float(conditions.log_dose[k]), 6)


def condition_cells(task: Task, known: Conditions) -> list[np.ndarray]:
    """Measured cells of each condition that is learned from."""
    obs = task.cells.obs[~task.cells.obs["is_control"]]
    X = task.cells[obs.index].X.toarray()
    place = obs.reset_index(drop=True).groupby(["drug", "cell_line", "dose"], observed=True).indices
    of_key = {(str(d), str(line), round(float(np.log10(x)), 6)): X[rows] for (d, line, x), rows in place.items()}
    return [of_key[condition_key(known, k)] for k in range(len(known))]


def conditional_vae(task: Task, seed: int, *, width: int = 128, max_epochs: int = 60) -> Predicted:
    """Control cells, encoded as such and decoded as treated; the epoch is chosen on held-out drugs."""
    obs, known = task.cells.obs, task.measured().conditions
    lines = sorted(set(known.context))
    bits = dict(zip((names[0] for names in known.perturbations), known.features, strict=True))
    none = np.zeros(known.features.shape[1])
    dose = np.log10(obs["dose"].where(~obs["is_control"], 1.0).to_numpy(dtype=float))

    def told(fingerprints: np.ndarray, context: np.ndarray, log_dose: np.ndarray, is_treated: np.ndarray) -> np.ndarray:
        line = np.asarray(context)[:, None] == np.array(lines)
        rest = (line, (log_dose * is_treated)[:, None], np.asarray(is_treated)[:, None])
        return np.hstack([fingerprints, *rest]).astype(np.float32)

    of_cell = np.stack([bits.get(drug, none) for drug in obs["drug"]])
    condition = told(of_cell, obs["cell_line"].to_numpy(dtype=str), dose, ~obs["is_control"].to_numpy())
    some = np.random.default_rng(seed).permutation(sorted(bits))[: max(len(bits) // 5, 1)]
    held_out = obs["drug"].isin(some).to_numpy()
    model, epoch = fit_cvae(task.cells.X.toarray(), condition, held_out, width=width, max_epochs=max_epochs, seed=seed)
    asked, one = task.conditions(), np.ones(1)
    cells, change = [], []
    for k, plate in enumerate(task.asked["plate"]):
        start = task.for_prediction[plate].astype(np.float32)
        context, log_dose = asked.context[[k]], asked.log_dose[[k]]
        before = told(none[None], context, log_dose, 0 * one)
        cells.append(treated(model, start, before[0], told(asked.features[[k]], context, log_dose, one)[0]))
        # its own controls, decoded as such: a smooth profile less noisy cells would be no change
        change.append((cells[-1] - treated(model, start, before[0], before[0])).mean(axis=0))
    return Predicted(np.stack(change), cells, epoch)
