from __future__ import annotations

import pandas as pd


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, split and method, one column a metric, best skill first.

    Parameters
    ----------
    frame
        Result of a function of :mod:`scgx.bm`, or several of one job concatenated.

    Returns
    -------
    Means over folds, except ``skill``, which is pooled over folds (1 − Σ squared error / Σ squared error of the gene
    means of the training rows), and ``seconds``, which is their sum. Jobs without squared errors of groups
    (:func:`scgx.bm.biomarker`) have no ``skill`` and stay in their order.
    """
    folds, groups = frame[frame["group"] == ""], frame[frame["group"] != ""]
    index = ["dataset", "split", "role", "method"]
    table = folds.pivot_table(index=index, columns="metric", values="value", aggfunc="mean", sort=False)
    if "seconds" in table:
        table["seconds"] = folds[folds["metric"] == "seconds"].groupby(index)["value"].sum()
    if "squared_error" not in set(groups["metric"]):
        return table.reset_index()
    errors = groups.pivot_table(index=index, columns="metric", values="value", aggfunc="sum", sort=False)
    skill = 1 - errors["squared_error"] / errors["reference_squared_error"]
    table = pd.concat([skill.rename("skill"), table.drop(columns="skill", errors="ignore")], axis=1).reset_index()
    return table.sort_values(["dataset", "split", "skill"], ascending=[True, True, False], ignore_index=True)
