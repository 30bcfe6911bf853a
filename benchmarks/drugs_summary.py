"""From scores of conditions to rows of the table, with intervals from a bootstrap over drugs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from drugs_networks import DEFAULT, EQUAL, SCRATCH
from sklearn.metrics import roc_auc_score

METRICS = ("mean", "DE50", "DE10", "delta", "e_distance", "epoch", "seconds")
DISTRIBUTION = {"prediction": "dis", "permuted": "dis, permuted drugs"}
N_RESAMPLES = 2000


def bootstrap(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Value and 95 % interval of a statistic of means (… × columns) over drugs, given drugs × columns."""
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return {"value": float("nan")}
    draws = np.random.default_rng(0).integers(len(values), size=(N_RESAMPLES, len(values)))
    low, high = np.nanquantile(statistic(values[draws].mean(axis=1)), [0.025, 0.975])
    return {"value": float(statistic(values.mean(axis=0))), "low": float(low), "high": float(high)}


def own(means: np.ndarray) -> np.ndarray:
    return means[..., 0]


def ratio(means: np.ndarray) -> np.ndarray:
    return means[..., 0] / means[..., 1]


def difference(means: np.ndarray) -> np.ndarray:
    return means[..., 0] - means[..., 1]


def skill(means: np.ndarray) -> np.ndarray:
    return 1 - means[..., 0] / means[..., 1]


def gain(means: np.ndarray) -> np.ndarray:
    return (means[..., 1] - means[..., 0]) / means[..., 2]


def summarise(scores: pd.DataFrame, distributions: pd.DataFrame) -> pd.DataFrame:
    """Tidy rows; a drug of a seed is what is resampled."""
    scores["unit"] = scores["seed"].astype(str) + scores["drug"].astype(str)
    rows: list[dict[str, Any]] = []
    for stratum, part in scores.groupby("stratum", sort=False):
        title = {"dataset": "simulated cells", "split": stratum}
        rows += [title | row for row in of_stratum(part)]
        some = distributions[distributions["stratum"] == stratum]
        table = some.groupby("method", sort=False)[["prediction", "permuted", "replicates", "constant_control"]].mean()
        for column, metric in DISTRIBUTION.items():
            rows += [title | {"method": m, "metric": metric, "value": v} for m, v in table[column].items()]
        rows.append(title | {"method": "replicates", "metric": "dis", "value": table["replicates"].iloc[0]})
        rows.append(title | {"method": "constant control", "metric": "dis", "value": table["constant_control"].iloc[0]})
    rows += [{"dataset": "simulated cells", "split": "novelty", **row} for row in flagged(scores)]
    return pd.DataFrame(rows)


def of_stratum(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Means, share of the ceilings, skill, thirds by effect size, gains."""

    def by_drug(metric: str, rows: pd.DataFrame = part) -> pd.DataFrame:
        return rows.pivot_table(index="unit", columns="method", values=metric, sort=False)

    for metric in METRICS:
        table = by_drug(metric)
        for method in table:
            yield {"method": method, "metric": metric, **bootstrap(table[[method]].to_numpy(), own)}
    delta, error = by_drug("delta"), by_drug("squared_error")
    for method in delta:
        for ceiling, name in (("truth", "share of truth"), ("replicates", "share of replicates")):
            yield {"method": method, "metric": name, **bootstrap(delta[[method, ceiling]].to_numpy(), ratio)}
        yield {"method": method, "metric": "skill", **bootstrap(error[[method, "mean_delta"]].to_numpy(), skill)}
        if DEFAULT in delta and method not in (DEFAULT, "truth", "replicates"):
            pair = delta[[DEFAULT, method]].to_numpy()
            yield {"method": method, "metric": "delta of DrugBERT − this", **bootstrap(pair, difference)}
    third = pd.qcut(part["effect"].rank(method="first"), 3, labels=["weak", "medium", "strong"])
    for name, rows in part.groupby(third, observed=True):
        for method, value in rows.groupby("method", sort=False)["delta"].mean().items():
            yield {"method": method, "metric": f"delta, {name}", "value": value}
    for length in EQUAL:
        first, second = f"{DEFAULT} @{length}", f"{SCRATCH} @{length}"
        if first in delta:
            title = {"method": f"pre-training, {length} epochs"}
            yield title | {"metric": "gain in delta", **bootstrap(delta[[first, second]].to_numpy(), difference)}
            three = error[[first, second, "mean_delta"]].to_numpy()
            yield title | {"metric": "gain in skill", **bootstrap(three, gain)}


def flagged(scores: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Area under the curve with which novelty tells drugs of novel mechanism from others never seen."""
    drugs = scores[scores["stratum"].isin(["known mechanism", "novel mechanism"])].drop_duplicates("unit")
    is_novel = (drugs["stratum"] == "novel mechanism").to_numpy()
    pairs = np.column_stack([is_novel, drugs["novelty"]])
    rng = np.random.default_rng(0)
    drawn = [pairs[rng.integers(len(pairs), size=len(pairs))] for _ in range(500)]
    values = [roc_auc_score(one[:, 0], one[:, 1]) for one in drawn if 0 < one[:, 0].mean() < 1]
    low, high = np.quantile(values, [0.025, 0.975])
    value = float(roc_auc_score(is_novel, drugs["novelty"]))
    yield {"method": "1 - largest Tanimoto similarity", "metric": "AUROC", "value": value, "low": low, "high": high}
    seed_means = [
        float(roc_auc_score(p["stratum"] == "novel mechanism", p["novelty"])) for _, p in drugs.groupby("seed")
    ]
    yield {"method": "1 - largest Tanimoto similarity", "metric": "lowest of the seeds", "value": min(seed_means)}
