from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from scgx.selection import PairedDifference, paired_bootstrap

#: know nothing about the row or condition that is asked for
_TRIVIAL = ("no_change", "mean", "median", "mean_delta", "most_frequent")
_HIGH = 0.8
#: skill that shuffled pairs may have without a leak: level and spread of a profile can be guessed a little
_NOTHING = 0.02


def red_flags(
    part: pd.DataFrame, table: pd.DataFrame, headline: str, baseline: str | None, paired: dict[str, PairedDifference]
) -> list[str]:
    """Say what a reader of one data set and split should doubt.

    Parameters
    ----------
    part
        Tidy frame of one data set and split.
    table
        One row a method, indexed by its name; best first.
    headline
        Column of ``table`` that methods are ranked by.
    baseline
        The best baseline.
    paired
        Difference of a method's skill to that of ``baseline``, where the frame allows it.
    """
    return [
        *split_flags(part["split"].iloc[0]),
        *_leak(part),
        *_raw_correlation_only(table),
        *_no_skill(table),
        *_not_separable(table, headline, baseline, paired),
    ]


def split_flags(split: str) -> Iterator[str]:
    """What makes the split optimistic."""
    if "random" in split:
        yield (
            "Optimistic split (random): rows of one compound, donor or cell line stand in training and in testing. Scores "
            "say how well a method remembers, not how it meets something new."
        )
    if "shared controls" in split:
        yield (
            "Optimistic split (shared controls): truth and prediction are taken against the same control cells, whose noise "
            "then counts as agreement. Every score is lifted, those of the baselines too."
        )
    if "optimistic" in split and "random" not in split and "shared controls" not in split:
        yield f"Optimistic split: {split}."


def _leak(part: pd.DataFrame) -> Iterator[str]:
    """Shuffled pairs must score nothing beyond the training mean."""
    rows = part[(part["method"] == "shuffled_pairs") & (part["group"] != "")]
    errors = rows.pivot_table(index=["fold", "group"], columns="metric", values="value")
    if errors.index.get_level_values("group").nunique() < 2:
        return
    reference = errors["reference_squared_error"].to_numpy()
    groups = errors.index.get_level_values("group").to_numpy()
    skill = paired_bootstrap(errors["squared_error"].to_numpy(), reference, reference, groups=groups)
    if skill.low > _NOTHING:
        yield (
            f"Leak: a method trained on shuffled pairs, which cannot know anything, has skill {skill.difference:.2f} "
            f"[{skill.low:.2f}, {skill.high:.2f}]. As much of every other score may come from the same leak."
        )


def _raw_correlation_only(table: pd.DataFrame) -> Iterator[str]:
    if "pearson" not in table:
        return
    trivial = float(table.loc[table.index.isin(_TRIVIAL), "pearson_delta"].max())
    for name, row in _candidates(table).items():
        delta, skill = row["pearson_delta"], row.get("skill", float("nan"))
        if row["pearson"] > _HIGH and (delta <= 0 or skill <= 0 or delta <= trivial):
            yield (
                f"{name} looks good by raw correlation only ({row['pearson']:.2f}): pearson_delta {delta:.2f}, skill "
                f"{skill:.2f}. A model that copies the control, or the mean, does the same."
            )


def _no_skill(table: pd.DataFrame) -> Iterator[str]:
    if "skill" not in table:
        return
    for name, row in _candidates(table).items():
        if row["skill"] <= 0:
            yield (
                f"{name} has skill {row['skill']:.2f}: the training mean is nearer to what was measured. Predictions that "
                "belong to other rows (permuted), or changes of the wrong size, look like this."
            )


def _not_separable(
    table: pd.DataFrame, headline: str, baseline: str | None, paired: dict[str, PairedDifference]
) -> Iterator[str]:
    candidates = _candidates(table)
    if baseline is None or not candidates:
        return
    best = max(candidates, key=lambda name: candidates[name][headline])
    difference = paired.get(best)
    if difference is None and candidates[best][headline] <= float(table[headline][baseline]):
        yield f"The best method, {best}, is not above the best baseline, {baseline}, in {headline}."
    elif difference is not None and difference.low <= 0:
        verdict = "is worse than" if difference.high < 0 else "cannot be told from"
        yield (
            f"The best method, {best}, {verdict} the best baseline, {baseline}: difference in skill "
            f"{difference.difference:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] over {difference.n_groups} groups."
        )


def _candidates(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Metrics of each candidate, best first."""
    rows = table[table["role"] == "candidate"].drop(columns="role").astype(float)
    return {str(name): {str(metric): value for metric, value in row.items()} for name, row in rows.iterrows()}
