from __future__ import annotations

import pandas as pd


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a data set, split and method, one column a metric, best skill first.

    Parameters
    ----------
    frame
        Result of :func:`scgx.bm.translate`, or several of them concatenated.

    Returns
    -------
    Means over folds, except ``skill``, which is pooled over folds (1 − Σ squared error / Σ squared error of the gene
    means of the training rows), and ``seconds``, which is their sum.
    """
    folds, groups = frame[frame["group"] == ""], frame[frame["group"] != ""]
    index = ["dataset", "split", "role", "method"]
    table = folds.pivot_table(index=index, columns="metric", values="value", aggfunc="mean", sort=False)
    errors = groups.pivot_table(index=index, columns="metric", values="value", aggfunc="sum", sort=False)
    table["skill"] = 1 - errors["squared_error"] / errors["reference_squared_error"]
    table["seconds"] = folds[folds["metric"] == "seconds"].groupby(index)["value"].sum()
    order = ["skill", *(column for column in table.columns if column != "skill")]
    table = table[order].reset_index()
    return table.sort_values(["dataset", "split", "skill"], ascending=[True, True, False], ignore_index=True)
