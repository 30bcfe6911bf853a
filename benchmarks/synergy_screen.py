"""A simulated screen of drug pairs in which synergy depends on the molecules and on expression, so that it can be known
for drugs never measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

CORES = ("c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccsc1", "C1CCNCC1", "c1ccc2ccccc2c1", "c1ccoc1")
GROUPS = ("C", "CC", "O", "N", "F", "Cl", "Br", "OC(=O)", "CO", "N#C", "OCC", "NS(=O)(=O)")


class Screen(NamedTuple):
    """Measured pairs, expression of the lines, and the synergy without noise."""

    pairs: pd.DataFrame
    expression: pd.DataFrame
    truth: np.ndarray


def simulate_screen(
    n_drugs: int = 40, n_lines: int = 10, n_rows: int = 3000, *, noise: float = 0.5, seed: int = 0
) -> Screen:
    """Simulate a screen.

    A drug is a ring with a substituent. The synergy of two drugs is that of their rings (a symmetric random matrix), plus
    one for the two rings times a gene of the line, plus noise; ``label`` is whether it is above the median, ``score`` what
    it is. A ring is known from other drugs that have it, a drug's name tells nothing of it.
    """
    rng = np.random.default_rng(seed)
    molecules = [(core, group) for core in range(len(CORES)) for group in range(len(GROUPS))]
    chosen = [molecules[k] for k in rng.permutation(len(molecules))[:n_drugs]]
    core = np.array([c for c, _ in chosen])
    smiles = np.array([GROUPS[g] + CORES[c] for c, g in chosen])
    names = np.array([f"drug{k}" for k in range(n_drugs)])
    expression = rng.normal(size=(n_lines, 30))
    effect, by_gene = (_symmetric(rng, len(CORES)) for _ in range(2))
    first, second = np.triu_indices(n_drugs, 1)
    cell = rng.permutation(len(first) * n_lines)[:n_rows]
    pair, line = np.divmod(cell, n_lines)
    a, b = first[pair], second[pair]
    truth = effect[core[a], core[b]] + 0.5 * by_gene[core[a], core[b]] * expression[line, 0]
    score = truth + noise * rng.normal(size=len(truth))
    lines = np.array([f"line{k}" for k in range(n_lines)])
    pairs = pd.DataFrame(
        {
            "drug_a": names[a],
            "drug_b": names[b],
            "smiles_a": smiles[a],
            "smiles_b": smiles[b],
            "cell_line": lines[line],
            "label": (score > np.median(score)).astype(int),
            "score": score,
        }
    )
    genes = [f"gene{k}" for k in range(expression.shape[1])]
    return Screen(pairs, pd.DataFrame(expression, index=lines, columns=genes), truth)


def _symmetric(rng: np.random.Generator, n: int) -> np.ndarray:
    square = rng.normal(size=(n, n))
    return (square + square.T) / np.sqrt(2)
