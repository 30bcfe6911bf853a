"""How a platform reads a true log10 fold change: the technical half of the simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from ._treatments import TISSUE_SHARES

LIMIT = np.float32(4.99)  # DrugMatrix values lie in (-5, 5)


class Platform(Protocol):
    """Reads blocks of rows: true log10 fold changes (rows × genes) and the rows' tissue codes."""

    def expected(self, log_fc: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        """Log10 fold change without noise."""

    def measured(self, log_fc: np.ndarray, tissue: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Log10 fold change with noise."""


@dataclass(frozen=True)
class Linear:
    """One gain a gene, additive noise."""

    gain: np.ndarray
    noise: float

    def expected(self, log_fc: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        return self.gain * log_fc

    def subset(self, genes: slice) -> Self:
        return replace(self, gain=self.gain[genes])

    def measured(self, log_fc: np.ndarray, tissue: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.expected(log_fc, tissue) + self.noise * rng.standard_normal(log_fc.shape, dtype=np.float32)


@dataclass(frozen=True)
class Microarray:
    """Probe intensity with cross-hybridisation, saturation and background; multiplicative noise."""

    signal: np.ndarray  # tissues × probes, of the control
    stray: np.ndarray  # share of the stray probe's signal that a probe also binds
    stray_probe: np.ndarray
    background: np.ndarray
    saturation: float
    noise: float

    def _log_intensity(self, log_fc: np.ndarray | float, tissue: np.ndarray) -> np.ndarray:
        bound = self.signal[tissue] * np.power(np.float32(10), log_fc)
        bound = bound + self.stray * bound[:, self.stray_probe]
        return np.log10(self.background + self.saturation * bound / (self.saturation + bound))

    def expected(self, log_fc: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        return self._log_intensity(log_fc, tissue) - self._log_intensity(0.0, tissue)

    def measured(self, log_fc: np.ndarray, tissue: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.expected(log_fc, tissue) + self.noise * rng.standard_normal(log_fc.shape, dtype=np.float32)


@dataclass(frozen=True)
class Sequencing:
    """Negative binomial counts; fold change of counts + 1."""

    counts: np.ndarray  # tissues × genes, expected in the control
    dispersion: float

    def expected(self, log_fc: np.ndarray, tissue: np.ndarray) -> np.ndarray:
        control = self.counts[tissue]
        return np.log10((control * np.power(np.float32(10), log_fc) + 1) / (control + 1))

    def subset(self, genes: slice) -> Self:
        return replace(self, counts=self.counts[:, genes])

    def measured(self, log_fc: np.ndarray, tissue: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        control = self.counts[tissue]
        mean = control * np.power(np.float32(10), log_fc)
        if self.dispersion > 0:
            mean *= self.dispersion * rng.standard_gamma(1 / self.dispersion, mean.shape, dtype=np.float32)
        return np.log10((rng.poisson(mean).astype(np.float32) + 1) / (control + 1))


def linear_pair(n_source: int, n_target: int, noise: float, rng: np.random.Generator) -> tuple[Linear, Linear]:
    """Draw the gains: of the source probes 75 % respond well, 15 % are compressed, 10 % dead."""
    kind = rng.choice(np.array([0.8, 0.3, 0.0]), size=n_source, p=[0.75, 0.15, 0.1])
    source = kind * rng.lognormal(0, 0.2, n_source)
    target = rng.lognormal(0, 0.2, n_target)
    return Linear(source.astype(np.float32), noise), Linear(target.astype(np.float32), noise)


def nonlinear_pair(
    n_source: int, n_target: int, noise: float, rng: np.random.Generator
) -> tuple[Microarray, Sequencing]:
    """Draw signals, backgrounds and depths; a fifth of the probes binds the transcript of another one too."""
    source = Microarray(
        signal=_expression(2.5, n_source, rng),
        stray=(rng.uniform(0.1, 0.5, n_source) * (rng.random(n_source) < 0.2)).astype(np.float32),
        stray_probe=rng.permutation(n_source),
        background=10 ** rng.normal(1.7, 0.2, n_source).astype(np.float32),
        saturation=1500.0,
        noise=noise,
    )
    # the dispersion that gives deep counts a standard deviation of `noise` on the log10 scale
    return source, Sequencing(_expression(2.7, n_target, rng), dispersion=(noise * np.log(10)) ** 2)


def _expression(log10_mean: float, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    gene = rng.normal(log10_mean, 0.5, n_genes)
    tissue = rng.normal(0, 0.3, (len(TISSUE_SHARES), n_genes))
    return 10 ** (gene + tissue).astype(np.float32)
