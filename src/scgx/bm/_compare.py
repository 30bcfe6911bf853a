from __future__ import annotations

import pandas as pd

from scgx._core import require_key
from scgx.selection import PairedDifference, paired_bootstrap


def compare(frame: pd.DataFrame, a: str, b: str, *, level: float = 0.95, seed: int = 0) -> PairedDifference:
    """Is method ``a`` better than ``b``? Paired bootstrap over held-out groups.

    Parameters
    ----------
    frame
        Result of :func:`scgx.bm.translate` for one data set and split.
    a, b
        Names of methods in ``frame``.
    level
        Probability content of the interval.
    seed
        Seed of the resampling.

    Returns
    -------
    Skill of ``a`` minus skill of ``b`` with its interval. Skills are pooled over folds: 1 − Σ squared error /
    Σ squared error of the gene means of the training rows.

    Raises
    ------
    KeyError
        If a method is not in ``frame``.
    ValueError
        If ``frame`` does not hold exactly one data set and one split.
    """
    for column in ("dataset", "split"):
        if frame[column].nunique() != 1:
            raise ValueError(
                f"`frame` holds the {column}s {sorted(frame[column].unique())}; compare within one: "
                f"frame[frame[{column!r}] == name]."
            )
    errors = frame[frame["group"] != ""].pivot_table(
        index=["fold", "group"], columns=["metric", "method"], values="value"
    )
    for argument, name in (("a", a), ("b", b)):
        require_key(errors["squared_error"].columns, name, "frame['method']", argument)
    return paired_bootstrap(
        errors["squared_error"][a].to_numpy(),
        errors["squared_error"][b].to_numpy(),
        errors["reference_squared_error"][b].to_numpy(),
        groups=errors.index.get_level_values("group").to_numpy(),
        level=level,
        seed=seed,
    )
