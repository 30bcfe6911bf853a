from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scgx._core import require_finite

InputScale = Literal["linear", "log1p", "log2", "log10"]
# no expression value has a logarithm beyond this: 2**100 is 1e30
_MAX_LOG = 100.0


@dataclass(frozen=True)
class Scale:
    """Goes from the scale of the input to logarithms of one base."""

    name: InputScale
    """Scale of the input."""
    base: float
    """Base of the result."""
    log1p_base: float = np.e
    """Base that the input was log1p-transformed with."""

    def __post_init__(self) -> None:
        if self.name not in get_args(InputScale):
            raise ValueError(
                f"input_scale={self.name!r} must be said, one of: 'linear' (intensities or normalised counts, all "
                "positive), 'log1p' (log(x + 1), as scanpy.pp.log1p makes), 'log2' or 'log10' (logarithms without "
                "pseudocount, as most microarray pipelines give)"
            )
        if not self.base > 1:
            raise ValueError(f"base={self.base!r} must be greater than 1, for example 2 or 10")

    def log(self, X: np.ndarray) -> np.ndarray:
        """Return the logarithm of the values (of the values plus one for log1p)."""
        if self.name == "linear":
            return np.log(X) / np.log(self.base)
        input_base = {"log1p": self.log1p_base, "log2": 2.0, "log10": 10.0}[self.name]
        return X * (np.log(input_base) / np.log(self.base))

    def to_average(self, X: np.ndarray) -> np.ndarray:
        """Return the values on the scale on which the mean over controls is taken."""
        if self.name == "log1p":
            return np.expm1(X * np.log(self.log1p_base))
        return X if self.name == "linear" else self.log(X)

    def log_average(self, mean: np.ndarray) -> np.ndarray:
        """Return the logarithm of a mean of :meth:`to_average`."""
        if self.name == "linear":
            return np.log(mean) / np.log(self.base)
        return np.log1p(mean) / np.log(self.base) if self.name == "log1p" else mean

    def check(self, X: np.ndarray, what: str, rows: np.ndarray) -> None:
        """Raise if values cannot be of this scale.

        Parameters
        ----------
        X
            Block of values.
        what
            What the user calls the matrix.
        rows
            Row numbers of the block in the whole matrix.
        """
        require_finite(X, what, allow_nan=True, rows=rows)
        if self.name == "linear":
            bad, remedy = X <= 0, "needs positive values; for counts use scanpy.pp.log1p and input_scale='log1p'"
        elif self.name == "log1p":
            bad, remedy = (X < 0) | (X > _MAX_LOG), "needs log(x + 1) of values x >= 0, not scaled and not raw counts"
        else:
            bad, remedy = np.abs(X) > _MAX_LOG, f"needs logarithms, within ±{_MAX_LOG:g}; take input_scale='linear'?"
        n_bad = int(np.count_nonzero(bad))
        if n_bad:
            row, column = (int(i) for i in np.unravel_index(int(np.argmax(bad)), X.shape))
            raise ValueError(
                f"input_scale={self.name!r} {remedy}; {what} has {n_bad} other values in a block of {len(X)} rows, "
                f"the first is {X[row, column]:g} at (row, column) ({rows[row]}, {column})"
            )
