from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from scgx._core.drug_pairs import DrugPairs
from scgx.estimators import (
    BaseSynergy,
    Chemistry,
    DeepDDS,
    DeepSynergy,
    Identity,
    PairKernel,
    RandomVectors,
    SynergyBoosting,
    SynergyForest,
    SynergyLinear,
    SynergyMean,
)

ONE_HOT = "one_hot"
# simplest first: of equally good ones the first is chosen
SYNERGIES: dict[str, Callable[[int], BaseSynergy]] = {
    "line_mean": lambda seed: SynergyMean("cell_line"),
    "pair_mean": lambda seed: SynergyMean("pair"),
    "logistic": lambda seed: SynergyLinear(Identity(), seed=seed),
    ONE_HOT: lambda seed: SynergyBoosting(Identity(), seed=seed, n_trees=1000),
    "random_vectors": lambda seed: SynergyBoosting(RandomVectors(), seed=seed),
    "pair_kernel": lambda seed: PairKernel(),
    "boosting": lambda seed: SynergyBoosting(Chemistry(), seed=seed),
    "random_forest": lambda seed: SynergyForest(Chemistry(), seed=seed),
    "deepsynergy": lambda seed: DeepSynergy(seed=seed),
    "deepdds": lambda seed: DeepDDS(seed=seed),
}
SYNERGY_BASELINES = ("line_mean", "pair_mean", ONE_HOT, "random_vectors")
_AUTO = ("line_mean", "pair_mean", "logistic", ONE_HOT, "pair_kernel", "boosting", "random_forest")

SYNERGY_SPLITS = {
    "random": "random (optimistic)",
    "pair": "pairs held out",
    "line": "lines held out",
    "drug": "drugs held out, one or both new",
    "one_drug": "drugs held out, one new",
    "both_drugs": "drugs held out, both new",
}
_DRUGS_NEW = {"drug": (1, 2), "one_drug": (1,), "both_drugs": (2,)}
Folds = list[tuple[np.ndarray, np.ndarray]]


def synergy_names(method: str | Sequence[str]) -> list[str]:
    """Names of methods for synergy, simplest first.

    Parameters
    ----------
    method
        ``"auto"`` (what closed forms and trees there are), a name in :data:`SYNERGIES`, or several.

    Raises
    ------
    ValueError
        For an unknown or doubled name.
    """
    names = [method] if isinstance(method, str) else list(method)
    names = list(_AUTO) if names == ["auto"] else names
    unknown = [name for name in names if name not in SYNERGIES]
    if unknown or len(set(names)) < len(names) or not names:
        raise ValueError(f"`method` must be 'auto' or different names of {list(SYNERGIES)}; found {names!r}.")
    return [name for name in SYNERGIES if name in names]


def synergy_folds(pairs: DrugPairs, split: str, *, n_folds: int, seed: int) -> Folds:
    """Training and test rows of each fold.

    Parameters
    ----------
    pairs
        Measured pairs.
    split
        What is new in the test rows: ``"pair"``, ``"line"``, ``"drug"`` (one or both of them), ``"one_drug"`` (just one),
        ``"both_drugs"``, one of the others with ``" + line"``, or ``"random"``: nothing but the pair in this line.
    n_folds
        Folds, fewer where there are fewer pairs, lines or drugs.
    seed
        Seed of the folds.

    Returns
    -------
    Rows that are partly new (a held-out drug in a known line, when both should be new) are in neither part. No fold if
    there is too little to hold out.

    Raises
    ------
    ValueError
        For an unknown ``split``.
    """
    drugs, _, line = split.partition(" + ")
    if drugs not in SYNERGY_SPLITS or line not in ("", "line") or (line and drugs in ("random", "line")):
        raise ValueError(
            f"`split` must be one of {list(SYNERGY_SPLITS)}, or pairs or drugs ' + line'; found {split!r}."
        )
    rng = np.random.default_rng(seed)
    parts = [_sides(pairs, drugs, n_folds, rng)]
    if line:
        parts.append(_sides(pairs, "line", n_folds, rng))
    folds = []
    for sides in zip(*parts, strict=False):
        train = np.logical_and.reduce([side[0] for side in sides])
        test = np.logical_and.reduce([side[1] for side in sides])
        if train.any() and test.any():
            folds.append((np.flatnonzero(train), np.flatnonzero(test)))
    return folds


def _sides(pairs: DrugPairs, split: str, n_folds: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which rows may train and which may test, in each fold."""
    if split in _DRUGS_NEW:
        part = _parts(len(pairs.smiles), n_folds, rng)
        n_new = [(part[pairs.a] == k).astype(int) + (part[pairs.b] == k) for k in range(part.max() + 1)]
        # a drug with itself is one drug
        both = [np.where(pairs.a == pairs.b, 2, 0) if split == "both_drugs" else 0 for _ in n_new]
        return [(n == 0, np.isin(n, _DRUGS_NEW[split]) & (b != 2)) for n, b in zip(n_new, both, strict=True)]
    _, unit = np.unique(synergy_units(pairs, split), return_inverse=True)
    part = _parts(unit.max() + 1, n_folds, rng)[unit]
    return [(part != k, part == k) for k in range(part.max() + 1)]


def _parts(n: int, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    part = np.empty(n, dtype=int)
    part[rng.permutation(n)] = np.arange(n) % n_folds
    return part


def synergy_units(pairs: DrugPairs, split: str) -> np.ndarray:
    """What is held out as a whole, a label a row: the line, or the pair, for a random split the pair in its line."""
    if split == "line":
        return pairs.cell_line
    if split == "random":  # repeats of a measurement stay together
        return np.char.add(np.char.add(pairs.pair, " "), pairs.cell_line)
    return pairs.pair


def synergy_questions(asked: DrugPairs, known: DrugPairs) -> np.ndarray:
    """What is new in each pair, in the words of :func:`synergy_folds`; ``"measured"`` where nothing is, n."""
    n_new = (~np.isin(asked.smiles, known.smiles)).astype(int)
    drugs = n_new[asked.a] + np.where(asked.a == asked.b, 0, n_new[asked.b])
    question = np.array(["", "one_drug", "both_drugs"], dtype=object)[drugs]
    question[(drugs == 0) & ~np.isin(asked.pair, known.pair)] = "pair"
    new_line = ~np.isin(asked.cell_line, known.lines)
    question[new_line] = [f"{q} + line" if q else "line" for q in question[new_line]]
    measured = np.isin(synergy_units(asked, "random"), synergy_units(known, "random"))
    question[question == ""] = np.where(measured[question == ""], "measured", "random")
    return question.astype(str)


def synergy_scores(true: np.ndarray, predicted: np.ndarray, *, binary: bool) -> dict[str, float]:
    """``auroc`` and ``auprc`` of labels, ``spearman`` and ``pearson`` of scores; NaN where all are the same."""
    if binary:
        from sklearn.metrics import average_precision_score, roc_auc_score

        if len(np.unique(true)) < 2:
            return {"auroc": float("nan"), "auprc": float("nan")}
        return {
            "auroc": float(roc_auc_score(true, predicted)),
            "auprc": float(average_precision_score(true, predicted)),
        }
    from scipy.stats import pearsonr, spearmanr

    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return {"spearman": 0.0 if np.ptp(true) else float("nan"), "pearson": 0.0 if np.ptp(true) else float("nan")}
    return {"spearman": float(spearmanr(true, predicted)[0]), "pearson": float(pearsonr(true, predicted)[0])}
