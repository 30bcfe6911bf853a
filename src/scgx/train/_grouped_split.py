from __future__ import annotations

import numpy as np
from sklearn.model_selection import GroupShuffleSplit


def grouped_split(groups: np.ndarray, *, validation_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for validation; no group is in both.

    Parameters
    ----------
    groups
        Group of each row.
    validation_size
        Share of the groups that is left out, between 0 and 1; at least one group is.
    seed
        Seed of the draw.

    Raises
    ------
    ValueError
        If there are fewer than two groups, or ``validation_size`` is not between 0 and 1.
    """
    if not 0 < validation_size < 1:
        raise ValueError(f"`validation_size` must lie between 0 and 1; found {validation_size}.")
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(
            f"validation needs at least 2 groups; found {n_groups} over {len(groups)} rows. Measure more groups, or "
            "name a finer `group_key`."
        )
    splitter = GroupShuffleSplit(1, test_size=validation_size, random_state=seed)
    train, validation = next(splitter.split(groups, groups=groups))
    return train, validation
