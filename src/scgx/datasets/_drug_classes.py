"""Drugs in classes of alike structure: the chemical half of the drug-screen simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scgx._core.molecules import morgan_fingerprints, murcko_scaffolds
from scgx._core.similarity import tanimoto

from ._drug_library import N_SCAFFOLDS, draw_drugs, n_drawable

_POOL = 2000  # structures looked at, so that a table of any size takes seconds
_ALIKE = 0.4  # Tanimoto similarity of neighbours when centres of classes are looked for


def draw_classes(
    n_known: int,
    n_novel: int,
    n_mechanisms: int,
    novel_mechanisms: int,
    smiles: Sequence[str] | None,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Choose drugs of some classes of alike structures.

    Returns
    -------
    A row a drug in random order: ``smiles``, ``scaffold`` (Bemis–Murcko), ``structural_class`` (int, the novel ones
    last), ``novel_mechanism`` (bool: structurally the most isolated classes, which share no scaffold with the rest).
    """
    pool, bits, label = _library(n_known + n_novel, rng) if smiles is None else _table(smiles, n_mechanisms, rng)
    quota = -(-n_novel // novel_mechanisms) if novel_mechanisms else 0
    novel = _most_isolated(bits, label, novel_mechanisms, quota)
    sizes = pd.Series(label[~np.isin(label, novel)]).value_counts()
    known = sizes.index[: n_mechanisms - novel_mechanisms].to_numpy()
    novel_rows = _in_turn(label, novel)[:n_novel]
    known_rows = _in_turn(label, known)[: 2 * n_known]  # scaffolds take time: no more than may be needed
    candidates = np.concatenate([novel_rows, known_rows])
    scaffold = dict(zip(candidates, murcko_scaffolds(pool[candidates]), strict=True))
    novel_scaffolds = {scaffold[row] for row in novel_rows}
    known_rows = np.array([row for row in known_rows if scaffold[row] not in novel_scaffolds][:n_known], dtype=int)
    if len(known) + len(novel) < n_mechanisms or len(known_rows) < n_known or len(novel_rows) < n_novel:
        raise ValueError(
            f"{len(pool)} different structures fill {len(known)} known mechanisms with {len(known_rows)} drugs and "
            f"{len(novel)} novel ones with {len(novel_rows)}; expected {n_mechanisms - novel_mechanisms} with {n_known} "
            f"and {novel_mechanisms} with {n_novel}: ask for fewer drugs or mechanisms, or pass more smiles"
        )
    rows = rng.permutation(np.concatenate([known_rows, novel_rows]))
    number = {old: new for new, old in enumerate([*known, *novel])}
    return pd.DataFrame(
        {
            "smiles": pool[rows],
            "scaffold": [scaffold[row] for row in rows],
            "structural_class": [number[one] for one in label[rows]],
            "novel_mechanism": np.isin(label[rows], novel),
        }
    )


def _library(n_drugs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small molecules; a class is what grew on one scaffold."""
    smiles, features = draw_drugs(min(n_drawable(), 2 * n_drugs + 200), rng)
    return np.array(smiles), morgan_fingerprints(smiles), features[:, :N_SCAFFOLDS].argmax(axis=1)


def _table(
    smiles: Sequence[str], n_classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Molecules of the caller that differ in fingerprint (no isomers), the most typical of each class first."""
    texts = np.asarray(smiles, dtype=object)
    pool = pd.unique(texts[np.sort(rng.permutation(len(texts))[:_POOL])])
    bits = morgan_fingerprints(pool)
    differ = ~pd.Series(map(bytes, np.packbits(bits.astype(bool), axis=1))).duplicated().to_numpy()
    pool, bits = pool[differ], bits[differ]
    similar = tanimoto(bits, bits)
    to_centre = similar[:, _centres(similar, n_classes)]
    order = np.argsort(-to_centre.max(axis=1), kind="stable")
    return pool[order], bits[order], to_centre[order].argmax(axis=1)


def _centres(similar: np.ndarray, n_classes: int) -> list[int]:
    """Molecules with the most neighbours that no earlier centre has (Butina, J. Chem. Inf. Comput. Sci. 1999)."""
    near = similar >= _ALIKE
    centres: list[int] = []
    free = np.ones(len(similar), dtype=bool)
    while free.any() and len(centres) < n_classes:
        centres.append(int(np.where(free, near[:, free].sum(axis=1), -1).argmax()))
        free &= ~near[centres[-1]]
        free[centres[-1]] = False  # a molecule without any feature is not similar to itself
    return centres


def _most_isolated(bits: np.ndarray, label: np.ndarray, n_classes: int, size: int) -> np.ndarray:
    """Classes of at least ``size`` members that are least similar to what is outside."""
    nearest = {}
    for one in np.unique(label):
        members, others = np.flatnonzero(label == one), np.flatnonzero(label != one)
        if len(members) >= size and len(others):
            nearest[one] = tanimoto(bits[members[:size]], bits[others]).max(axis=1, initial=0).mean() if size else 1.0
    return np.array(sorted(nearest, key=nearest.__getitem__)[:n_classes], dtype=int)


def _in_turn(label: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Members of the classes, the first of each, then the second of each."""
    rows = np.flatnonzero(np.isin(label, classes))
    return rows[np.argsort(pd.Series(label[rows]).groupby(label[rows]).cumcount().to_numpy(), kind="stable")]
