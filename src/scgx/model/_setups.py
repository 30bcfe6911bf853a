from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

Told = TypeVar("Told")


class Setups(Generic[Told]):
    """What set-up was told of each object, by id (AnnData has no hash); the user's object itself is not written to."""

    def __init__(self) -> None:
        self._told: dict[int, Told] = {}

    def remember(self, data: Any, told: Told) -> None:
        """Keep what was told of ``data``, as long as ``data`` lives."""
        if id(data) not in self._told:
            weakref.finalize(data, self._told.pop, id(data), None)  # another object may get the id
        self._told[id(data)] = told

    def recall(self, data: Any, argument: str, call: str) -> Told:
        """What was told of the data given as ``argument``; a ValueError that names the ``call`` if nothing was."""
        if id(data) not in self._told:
            raise ValueError(f"`{argument}` is not set up; call {call} first.")
        return self._told[id(data)]
