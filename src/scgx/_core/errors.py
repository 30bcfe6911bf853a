"""Checks whose messages say what was found, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import pandas as pd


def require_key(mapping_or_index: Iterable[object], key: object, where: str, argument: str) -> None:
    """Raise if a key is missing, and name those that look like it.

    Parameters
    ----------
    mapping_or_index
        What should hold the key: ``adata.obs``, ``adata.layers``, an index.
    key
        The key asked for.
    where
        How the user calls the holder, for example ``".obs"``.
    argument
        The argument that brought the key.

    Raises
    ------
    KeyError
        If ``key`` is not in ``mapping_or_index``.
    """
    names = [name for name in mapping_or_index if name is not None]  # anndata 0.13 lists None among the layers
    if key in names:
        return
    raise KeyError(f"{argument}={key!r} is not in {where}; {_near(key, names)}")


def _near(key: object, names: list[object]) -> str:
    if not names:
        return "it is empty"
    # lower case lets "Tissue" find "tissue"; the text of a name lets "0" find 0
    by_text = {str(name).lower(): name for name in names}
    close = [by_text[match] for match in get_close_matches(str(key).lower(), by_text, n=3)]
    if close:
        return f"nearest: {', '.join(map(repr, close))}"
    return f"it has: {examples(names)}"


def require_unique(names: pd.Index, what: str) -> None:
    """Raise if a name occurs twice.

    Parameters
    ----------
    names
        Names of observations or variables.
    what
        How to call them in the message, for example ``"target.var_names"``.

    Raises
    ------
    ValueError
        If ``names`` has duplicates.
    """
    if names.is_unique:
        return
    twice = names[names.duplicated()].unique()
    remedy = "obs_names_make_unique" if "obs" in what else "var_names_make_unique"
    raise ValueError(
        f"{what} must be unique, but {len(twice)} occur more than once: {examples(twice)}; "
        f"drop or aggregate the duplicates, or call `.{remedy}()` first"
    )


def examples(names: Iterable[object], n: int = 5) -> str:
    """Join the first ``n`` names for a message."""
    shown = [str(name) for name in names]
    return ", ".join(repr(name) for name in shown[:n]) + (", …" if len(shown) > n else "")
