"""Molecules as SMILES; rdkit is imported when it is needed (extra ``[chem]``)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def parse_smiles(smiles: Iterable[str]) -> list[Any]:
    """Read molecules, each without its salts and solvents (the largest fragment is kept).

    Parameters
    ----------
    smiles
        SMILES strings.

    Returns
    -------
    rdkit molecules in the order given.

    Raises
    ------
    ValueError
        If a string is empty or is not SMILES; the message names it and its position.
    ImportError
        If rdkit is not installed.
    """
    Chem, rdMolStandardize = _rdkit()
    from rdkit import rdBase

    chooser, molecules = rdMolStandardize.LargestFragmentChooser(), []
    with rdBase.BlockLogs():  # what is wrong is said once, in the error
        for position, text in enumerate(smiles):
            molecule = Chem.MolFromSmiles(text) if isinstance(text, str) and text.strip() else None
            if molecule is None:
                raise ValueError(
                    f"{text!r} at position {position} is not a valid SMILES; correct it or leave the molecule out"
                )
            molecules.append(chooser.choose(molecule))
    return molecules


def murcko_scaffolds(smiles: Iterable[str]) -> np.ndarray:
    """Bemis–Murcko scaffold of each molecule as canonical SMILES, n.

    Ring systems and what links them (Bemis and Murcko, J. Med. Chem. 1996). A molecule without rings has none and
    stands for itself. See :func:`parse_smiles` for salts and errors.
    """
    molecules = parse_smiles(smiles)
    from rdkit import Chem
    from rdkit.Chem.Scaffolds import MurckoScaffold

    scaffolds = [Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(molecule)) for molecule in molecules]
    return np.array(
        [scaffold or Chem.MolToSmiles(molecule) for scaffold, molecule in zip(scaffolds, molecules, strict=True)]
    )


def morgan_fingerprints(smiles: Iterable[str], *, radius: int = 2, n_bits: int = 2048) -> np.ndarray:
    """Morgan fingerprints, n × ``n_bits``, of 0 and 1 (Rogers and Hahn, J. Chem. Inf. Model. 2010).

    See :func:`parse_smiles` for salts and errors.
    """
    molecules = parse_smiles(smiles)
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=n_bits)
    bits = [generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]
    return np.array(bits, dtype=np.float32).reshape(len(bits), n_bits)


def canonical_smiles(smiles: Iterable[str]) -> np.ndarray:
    """Canonical SMILES of each molecule without its salts, n: equal for two ways to write one molecule.

    See :func:`parse_smiles` for salts and errors.
    """
    molecules = parse_smiles(smiles)
    from rdkit import Chem

    return np.array([Chem.MolToSmiles(molecule) for molecule in molecules], dtype=str)


def molecule_graphs(smiles: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Molecules as graphs of their heavy atoms, padded to the largest.

    Parameters
    ----------
    smiles
        n SMILES strings; see :func:`parse_smiles` for salts and errors.

    Returns
    -------
    atoms
        n × atoms × features, float32: element, number of heavy neighbours, number of hydrogens and hybridisation as one
        of several, formal charge, aromatic, in a ring. Zero where there is no atom.
    bonds
        n × atoms × atoms, bool: bonded, or the same atom. False where there is no atom.
    """
    molecules = parse_smiles(smiles)
    largest = max((molecule.GetNumAtoms() for molecule in molecules), default=0)
    atoms = np.zeros((len(molecules), largest, _N_ATOM_FEATURES), dtype=np.float32)
    bonds = np.zeros((len(molecules), largest, largest), dtype=bool)
    for k, molecule in enumerate(molecules):
        n = molecule.GetNumAtoms()
        atoms[k, :n] = [_atom_features(atom) for atom in molecule.GetAtoms()]
        np.fill_diagonal(bonds[k, :n, :n], True)
        for bond in molecule.GetBonds():
            i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            bonds[k, i, j] = bonds[k, j, i] = True
    return atoms, bonds


_ELEMENTS = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "B", "Si", "Pt")
_HYBRIDISATIONS = ("SP", "SP2", "SP3")
_N_ATOM_FEATURES = len(_ELEMENTS) + 1 + 5 + 5 + len(_HYBRIDISATIONS) + 1 + 3


def _atom_features(atom: Any) -> list[float]:
    return [
        *_one_of(atom.GetSymbol(), _ELEMENTS),
        *_one_of(min(atom.GetDegree(), 4), range(4)),
        *_one_of(min(atom.GetTotalNumHs(), 4), range(4)),
        *_one_of(str(atom.GetHybridization()), _HYBRIDISATIONS),
        float(atom.GetFormalCharge()),
        float(atom.GetIsAromatic()),
        float(atom.IsInRing()),
    ]


def _one_of(value: Any, known: Iterable[Any]) -> list[float]:
    """1 at the place of the value, in the last place if it is none of those known."""
    found = [float(value == one) for one in known]
    return [*found, float(not any(found))]


def _rdkit() -> tuple[Any, Any]:
    try:
        from rdkit import Chem
        from rdkit.Chem.MolStandardize import rdMolStandardize
    except ImportError as error:
        raise ImportError("SMILES need rdkit: pip install 'scgx-tools[chem]'") from error
    return Chem, rdMolStandardize
