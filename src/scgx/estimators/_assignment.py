from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

_N_STARTS = 10
_N_STEPS = 30


def quadratic_match(
    own: np.ndarray, pair: np.ndarray, *, fixed: np.ndarray | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one assignment of least own and pairwise cost.

    Minimises E(p) = Σ_i own[i, p(i)] + Σ_ij pair[i, p(i), j, p(j)]: Frank–Wolfe on the relaxed problem (FAQ, Vogelstein
    et al., PLoS ONE 2015), then exchanges of two until none helps, from that start, from the best assignment by own
    cost and from random ones. :func:`scipy.optimize.quadratic_assignment` takes one matrix a side and no own costs.

    Parameters
    ----------
    own
        Cost of giving i to a, n × m with n ≤ m.
    pair
        Cost of giving i to a and j to b, n × m × n × m.
    fixed
        Known assignments, n; −1 where not known.
    seed
        Seed of the random starts.

    Returns
    -------
    assignment
        p(i), n.
    increase
        What E grows by if i changes places with the one that holds a, n × m; 0 at a = p(i), infinite against ``fixed``.
    """
    n, m = own.shape
    problem = _Problem(own, pair, np.full(n, -1) if fixed is None else fixed)
    rng = np.random.default_rng(seed)
    starts = [problem.relaxed(), problem.closest(-problem.own)]
    starts += [problem.closest(rng.random((m, m))) for _ in range(_N_STARTS)]
    ends = [problem.descend(start) for start in starts]
    best = min(ends, key=lambda end: float(problem.energy(end)))
    increase = np.full((m, m), np.inf)
    increase[np.arange(m), best] = 0
    first, second, exchanged = problem.exchanges(best)
    change = problem.energy(exchanged) - problem.energy(best)
    increase[first, best[second]] = change
    increase[second, best[first]] = change
    return best[:n], increase[:n]


class _Problem:
    """Padded to m rows: those beyond n cost nothing wherever they go."""

    def __init__(self, own: np.ndarray, pair: np.ndarray, fixed: np.ndarray) -> None:
        n, self.m = own.shape
        self.own = np.zeros((self.m, self.m))
        self.own[:n] = own
        padded = np.zeros((self.m,) * 4)
        padded[:n, :, :n] = pair
        self.pair = padded.reshape(self.m**2, self.m**2)
        known = np.flatnonzero(fixed >= 0)
        self.free = np.setdiff1d(np.arange(self.m), known)
        self.barred = np.zeros((self.m, self.m), dtype=bool)
        self.barred[known] = True
        self.barred[:, fixed[known]] = True
        self.barred[known, fixed[known]] = False

    def closest(self, gain: np.ndarray) -> np.ndarray:
        """Assignment of greatest gain that keeps to what is fixed."""
        worst = gain.min() - (np.ptp(gain) + 1) * self.m
        return linear_sum_assignment(np.where(self.barred, worst, gain), maximize=True)[1]

    def energy(self, p: np.ndarray) -> np.ndarray:
        """Energy of assignments, … × m → …."""
        cell = np.arange(self.m) * self.m + p
        return self.own.ravel()[cell].sum(axis=-1) + self.pair[cell[..., :, None], cell[..., None, :]].sum(
            axis=(-1, -2)
        )

    def relaxed(self) -> np.ndarray:
        """Assignment closest to a stationary point of the relaxed problem, from its centre (FAQ)."""
        P = np.full((self.m, self.m), 1 / self.m)
        for _ in range(_N_STEPS):
            flat = P.ravel()
            slope = self.own + (self.pair @ flat + flat @ self.pair).reshape(P.shape)
            step = np.zeros_like(P)
            step[np.arange(self.m), self.closest(-slope)] = 1
            step -= P
            linear, square = float((slope * step).sum()), float(step.ravel() @ self.pair @ step.ravel())
            length = min(1.0, -linear / (2 * square)) if square > 0 else float(linear + square < 0)
            if length * abs(linear) < 1e-9:
                break
            P = P + length * step
        return self.closest(P)

    def exchanges(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs that may change places, and the assignments that result."""
        first, second = (self.free[k] for k in np.triu_indices(len(self.free), 1))
        exchanged = np.tile(p, (len(first), 1))
        row = np.arange(len(first))
        exchanged[row, first], exchanged[row, second] = p[second], p[first]
        return first, second, exchanged

    def descend(self, p: np.ndarray) -> np.ndarray:
        """Make the best exchange of two until none lowers the energy."""
        lowest = self.energy(p)
        while len(self.free) > 1:
            _, _, exchanged = self.exchanges(p)
            energies = self.energy(exchanged)
            best = int(energies.argmin())
            if energies[best] >= lowest - 1e-9:
                break
            p, lowest = exchanged[best], energies[best]
        return p
