from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from scgx._core import ExperimentKeys, output_object
from scgx.estimators import ReactomeConditions, ReactomeGaussianProcess
from scgx.selection import STRATEGIES, ExperimentChoice, choose_experiments
from scgx.selection._experiments import Strategy
from scgx.tl._reactome_conditions import encode, measured_reactome, require_conditions, storable_column

_RANDOM_DRAWS = 20
_PRACTICALLY_NOTHING = 0.01  # of the expected error


def suggest_experiments(
    adata: AnnData,
    *,
    n: int,
    candidates: pd.DataFrame | None = None,
    target: pd.DataFrame | None = None,
    strategy: Literal["auto"] | Strategy = "auto",
    design_keys: str | Sequence[str] = (),
    smiles_key: str | None = "smiles",
    reactome_key: str = "reactome",
    key_added: str = "suggested_experiments",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """Suggest which drug × organ conditions to measure next, with the gain to expect and that of random choice.

    The gain is computed by the Gaussian process of :func:`predict_reactome`, whose uncertainty does not depend on the
    values to be measured (:func:`scgx.selection.choose_experiments` has the formulas).

    Parameters
    ----------
    adata
        Genes with a reactome (:func:`scgx.pp.reactome`).
    n
        How many conditions to suggest.
    candidates
        Conditions that could be measured, columns as in :func:`predict_reactome`. ``None``: every drug of the
        reactome in every organ in which it was not measured, under the design most frequent in that organ.
    target
        Conditions that are to be predicted well. ``None``: all candidates.
    strategy
        ``"a_optimal"``: most error taken off the targets; ``"d_optimal"``: most information about the candidates;
        ``"uncertainty"``: least certain candidates; ``"diversity"``: farthest from all that is measured; ``"random"``.
        ``"auto"`` is ``"a_optimal"``.
    design_keys, smiles_key, reactome_key
        See :func:`predict_reactome`.
    key_added
        Name of the result.
    seed
        Seed of random choices.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets ``.uns["suggested_experiments"]`` with

    ``conditions``
        Columns of the candidates chosen, best first (the order of choice).
    ``gain``
        Fraction of the expected squared error at the targets that is gone after this and all choices before it; one
        value a condition. The error is that against a new measurement, mean over genes.
    ``expected_error``
        This error before any choice, in squared units of the reactome.
    ``random_gain``, ``random_low``, ``random_high``
        Gain of ``n`` random candidates: mean and 2.5–97.5 % range of 20 draws.
    ``strategy``, ``note``, ``n_candidates``, ``n_targets``, ``seed``
        ``note`` says in words what the gain is worth.

    Raises
    ------
    KeyError
        If there is no reactome, or a column is missing.
    TypeError
        If ``candidates`` or ``target`` is no DataFrame.
    ValueError
        If there are fewer than ``n`` candidates, a strategy is unknown, or a table does not fit.

    Notes
    -----
    An expected gain is as true as the model: check in ``.uns["reactome_predicted"]["scores"]`` that
    ``"gaussian_process"`` predicts better than ``"design_mean"`` before following a suggestion.
    """
    if strategy != "auto" and strategy not in STRATEGIES:
        raise ValueError(f"`strategy` must be 'auto' or one of {', '.join(map(repr, STRATEGIES))}; found {strategy!r}.")
    chosen_strategy: Strategy = "a_optimal" if strategy == "auto" else strategy
    design = [design_keys] if isinstance(design_keys, str) else list(design_keys)
    measured = measured_reactome(adata, reactome_key, design)
    table = measured.table
    pool = _unmeasured(measured.listed, table, design) if candidates is None else candidates
    pool = require_conditions(pool, table, design, "candidates")
    if not 1 <= n <= len(pool):
        raise ValueError(f"`n` must be between 1 and the {len(pool)} candidates; found {n}.")
    aim = pool if target is None else require_conditions(target, table, design, "target")
    known, could, wanted, _ = encode([table, pool, aim, measured.listed], design, smiles_key)

    process = ReactomeGaussianProcess(seed=seed).fit(known, measured.values)
    question = _joined(could, wanted)
    positions = np.arange(len(could)), np.arange(len(could), len(question))
    covariance = process.posterior_covariance(question)
    noise = float(process.noise(np.ones(1))[0])
    prior, n_known = None, 0
    if chosen_strategy == "diversity":
        everything, n_known = _joined(process.cells_, question), len(process.cells_)
        prior = process.covariance(everything, everything)
    choice = choose_experiments(
        covariance, *positions, noise, n=n, strategy=chosen_strategy, prior=prior, n_known=n_known, seed=seed
    )
    random = [
        _gain(choose_experiments(covariance, *positions, noise, n=n, strategy="random", seed=seed + draw), noise)[-1]
        for draw in range(_RANDOM_DRAWS)
    ]
    gain = _gain(choice, noise)
    low, high = np.quantile(random, [0.025, 0.975])
    record: dict[str, Any] = {
        "conditions": {str(name): storable_column(pool[name].iloc[choice.chosen]) for name in pool},
        "gain": gain,
        "expected_error": choice.start + noise,
        "random_gain": float(np.mean(random)),
        "random_low": float(low),
        "random_high": float(high),
        "strategy": chosen_strategy,
        "note": _note(float(gain[-1]), float(np.mean(random)), n, chosen_strategy),
        "n_candidates": len(pool),
        "n_targets": len(aim),
        "seed": seed,
    }
    keys = ExperimentKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    out.uns[keys.uns] = record
    return out if copy else None


def _unmeasured(listed: pd.DataFrame, table: pd.DataFrame, design: list[str]) -> pd.DataFrame:
    """Every drug in every organ in which it was not measured, under the organ's most frequent design."""
    every = listed[["drug"]].drop_duplicates().merge(table[["organ"]].drop_duplicates(), how="cross")
    every = every.merge(table[["drug", "organ"]].drop_duplicates(), how="left", indicator=True)
    left = every.loc[every["_merge"] == "left_only", ["drug", "organ"]].reset_index(drop=True)
    if left.empty:
        raise ValueError("every drug was measured in every organ; give `candidates`, for example new drugs with SMILES")
    if not design:
        return left
    usual = table[["organ", *design]].value_counts(sort=True).reset_index().drop_duplicates("organ")
    return left.merge(usual[["organ", *design]], on="organ", how="left")


def _joined(a: ReactomeConditions, b: ReactomeConditions) -> ReactomeConditions:
    features = None if a.features is None or b.features is None else np.vstack([a.features, b.features])
    return ReactomeConditions(
        np.concatenate([a.drug, b.drug]),
        np.concatenate([a.organ, b.organ]),
        np.vstack([a.design, b.design]),
        features,
    )


def _gain(choice: ExperimentChoice, noise: float) -> np.ndarray:
    """Fraction of the error against a new measurement that is gone after each choice."""
    return (choice.start - choice.remaining) / (choice.start + noise)


def _note(gain: float, random: float, n: int, strategy: str) -> str:
    text = f"{n} conditions by {strategy} take {gain:.2%} off the expected squared error, random ones {random:.2%}"
    if gain - random < _PRACTICALLY_NOTHING:
        return f"{text}: practically no difference; choose by cost and question instead"
    return f"{text}."
