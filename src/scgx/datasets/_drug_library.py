"""Compounds whose structure says what they do: the chemical half of the reactome simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scgx._core.molecules import morgan_fingerprints

# one or two open positions; every combination is a valid SMILES of its own
_SCAFFOLDS = (
    "Cc1cc({0})ccc1{1}", "c1cc({0})ncc1{1}", "c1cc2cc({0})ccc2nc1{1}", "O=C1CN({0})c2ccccc2C(c2ccccc2)=N1",
    "O=c1cc({0})oc2cc(C)ccc12", "c1ccc2c(c1)c({0})cn2{1}", "Cn1c(=O)c2c(ncn2{0})n(C)c1=O", "O=S(=O)(N{0})c1ccc({1})cc1",
    "C1CN({0})CCN1c1ccc({1})cc1", "O=C(N{0})c1ccc({1})cc1", "c1csc({0})n1", "C1CCC2C(C1)CCC1CC({0})CCC12",
)  # fmt: skip
N_SCAFFOLDS = len(_SCAFFOLDS)
_SUBSTITUENTS = (
    "C", "CC", "C(C)C", "CCO", "CCN(C)C", "C1CC1", "C1CCCCC1", "c1ccccc1", "c1ccc(F)cc1", "c1ccc(Cl)cc1", "c1ccncc1",
    "CC(=O)O", "CC(F)(F)F", "CCC#N", "CCOC", "CCSC",
)  # fmt: skip


def draw_drugs(n_drugs: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Draw distinct compounds of few scaffolds.

    Returns
    -------
    SMILES, and features, drugs × (scaffold, first and second substituent), of 0 and 1.
    """
    parts = _combinations()
    chosen = parts[rng.permutation(len(parts))[:n_drugs]]
    smiles = [_SCAFFOLDS[s].format(_SUBSTITUENTS[a], _SUBSTITUENTS[b]) for s, a, b in chosen]
    sizes = (len(_SCAFFOLDS), len(_SUBSTITUENTS), len(_SUBSTITUENTS))
    features = [np.eye(size, dtype=np.float32)[chosen[:, part]] for part, size in enumerate(sizes)]
    features[2][[("{1}" not in _SCAFFOLDS[s]) for s in chosen[:, 0]]] = 0
    return smiles, np.hstack(features)


def n_drawable() -> int:
    """Number of distinct compounds."""
    return len(_combinations())


def read_drugs(smiles: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the caller's compounds and their Morgan fingerprints, the bits that differ between them."""
    bits = morgan_fingerprints(smiles)
    return list(smiles), bits[:, bits.std(axis=0) > 0]


def draw_mechanism(features: np.ndarray, n_pathways: int, chemistry: float, rng: np.random.Generator) -> np.ndarray:
    """Activity of each drug on each pathway, drugs × pathways, mean 0 and variance 1 over drugs.

    The share ``chemistry`` of the variance is linear in the features, the rest a drug's own.
    """
    explained = _standard(features @ rng.standard_normal((features.shape[1], n_pathways)))
    own = _standard(rng.standard_normal((len(features), n_pathways)))
    return _standard(np.sqrt(chemistry) * explained + np.sqrt(1 - chemistry) * own)


def _combinations() -> np.ndarray:
    numbers = range(len(_SUBSTITUENTS))
    return np.array(
        [
            (s, a, b)
            for s, scaffold in enumerate(_SCAFFOLDS)
            for a in numbers
            for b in (numbers if "{1}" in scaffold else [0])
        ]
    )


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 0, spread, 1)
