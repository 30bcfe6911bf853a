from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rdkit")
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from scgx._core.molecules import morgan_fingerprints, murcko_scaffolds, parse_smiles

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
SALT = "CC(=O)Oc1ccccc1C(=O)[O-].[Na+]"


def test_salts_are_stripped() -> None:
    plain, salted = parse_smiles(["CCN", "CCN.Cl"])
    assert Chem.MolToSmiles(plain) == Chem.MolToSmiles(salted)


def test_scaffolds_are_rings_and_linkers_and_chains_stand_for_themselves() -> None:
    scaffolds = murcko_scaffolds([ASPIRIN, SALT, "c1ccc(CCc2ccccc2)cc1", "OCC"])
    assert scaffolds.tolist() == ["c1ccccc1", "c1ccccc1", "c1ccc(CCc2ccccc2)cc1", "CCO"]


def test_fingerprints_are_morgan_bits_whatever_the_spelling() -> None:
    first, second, other = morgan_fingerprints([ASPIRIN, "OC(=O)c1ccccc1OC(C)=O", "CCO"])
    np.testing.assert_array_equal(first, second)
    reference = rdMolDescriptors.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(ASPIRIN), 2, 2048)
    np.testing.assert_array_equal(np.flatnonzero(first), list(reference.GetOnBits()))
    assert not np.array_equal(first, other)
    assert morgan_fingerprints([]).shape == (0, 2048)


@pytest.mark.parametrize("smiles", ["", "c1ccc", "not a molecule"])
def test_a_smiles_that_cannot_be_read_is_named(smiles: str) -> None:
    with pytest.raises(ValueError, match=rf"'{smiles}' at position 1 is not a valid SMILES"):
        parse_smiles(["CCO", smiles])


def test_without_rdkit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("rdkit"):
            raise ImportError(name)
        return known(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="scgx-tools\\[chem\\]"):
        parse_smiles(["CCO"])
