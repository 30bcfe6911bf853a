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


def _rdkit() -> tuple[Any, Any]:
    try:
        from rdkit import Chem
        from rdkit.Chem.MolStandardize import rdMolStandardize
    except ImportError as error:
        raise ImportError("SMILES need rdkit: pip install 'scgx-tools[chem]'") from error
    return Chem, rdMolStandardize
