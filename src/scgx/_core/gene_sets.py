from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from .errors import require_key


def gene_set_features(
    sets: pd.DataFrame, genes: Iterable[str] | None = None, *, min_size: int = 3, max_size: int = 500
) -> pd.DataFrame:
    """Which gene is in which set: what is known of a perturbed gene, as ``features`` of perturbations.

    Parameters
    ----------
    sets
        Gene sets with columns ``source`` (set) and ``target`` (gene), as :func:`scgx.datasets.load` reads ``.gmt`` files
        and decoupler gives its resources; other columns are ignored.
    genes
        Genes to keep; those that are in no set are left out: nothing is known of them. ``None``: all.
    min_size, max_size
        Genes of a set at least and at most, counted over all of ``sets``: the largest sets tell genes apart no better
        than small ones would, and say less.

    Returns
    -------
    Genes × sets, 0 or 1 (uint8); genes in alphabetical order, sets that hold none of them are left out.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If nothing is left.

    Examples
    --------
    >>> import pandas as pd, scgx
    >>> sets = pd.DataFrame({"source": ["a", "a", "b", "b"], "target": ["x", "y", "y", "z"]})
    >>> scgx.datasets.gene_set_features(sets, ["y", "z"], min_size=2).to_numpy().tolist()
    [[1, 1], [0, 1]]
    """
    for column in ("source", "target"):
        require_key(sets.columns, column, "`sets`", "column")
    pairs = sets[["source", "target"]].astype(str).drop_duplicates()
    size = pairs.groupby("source")["target"].transform("size")
    kept = pairs[(size >= min_size) & (size <= max_size)]
    if genes is not None:
        kept = kept[kept["target"].isin(set(genes))]
    if kept.empty:
        raise ValueError(
            f"no gene is left: `sets` has {pairs['source'].nunique()} sets of {pairs['target'].nunique()} genes, such as "
            f"{pairs['target'].head(3).tolist()}; check the identifiers of `genes`, `min_size` and `max_size`."
        )
    return pd.crosstab(kept["target"], kept["source"]).astype("uint8").rename_axis(index=None, columns=None)
