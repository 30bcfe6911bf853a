from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from scgx._core.molecules import molecule_graphs
from scgx.nn import Fingerprints, GraphAttention, MoleculeEncoder, Molecules, SynergyNetwork

SMILES = ["CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O"]


def graphs(smiles: list[str] = SMILES, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    atoms, bonds = molecule_graphs(smiles)
    return torch.from_numpy(atoms).to(dtype), torch.from_numpy(bonds)


def loop(layer: GraphAttention, x: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Equations 1 to 5 of the paper, atom by atom, for one molecule without padding."""
    n_heads, size = layer.receives.shape
    weight = layer.values.weight.detach().numpy().reshape(n_heads, size, -1)
    receives, sends = layer.receives.detach().numpy(), layer.sends.detach().numpy()
    out = np.zeros((len(x), n_heads, size))
    for head in range(n_heads):
        h = [weight[head] @ row for row in x]
        for i in range(len(x)):
            neighbors = np.flatnonzero(bonds[i])
            e = np.array([receives[head] @ h[i] + sends[head] @ h[j] for j in neighbors])
            e = np.exp(np.where(e > 0, e, 0.2 * e))
            out[i, head] = sum(a * h[j] for a, j in zip(e / e.sum(), neighbors, strict=True))
    return out.reshape(len(x), -1) + layer.bias.detach().numpy()


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        yield


def test_attention_is_that_of_the_paper_and_padding_has_no_influence() -> None:
    atoms, bonds = graphs()
    layer = GraphAttention(atoms.shape[2], 5, n_heads=3).double()
    torch.nn.init.normal_(layer.bias)
    found = layer(atoms, bonds).detach().numpy()
    for k, own in enumerate(bonds.numpy()):
        n = own.diagonal().sum()
        expected = loop(layer, atoms[k, :n].numpy(), own[:n, :n])
        np.testing.assert_allclose(found[k, :n], expected, rtol=1e-10, atol=1e-12)


@pytest.fixture
def encoder(seeded: None) -> MoleculeEncoder:
    return MoleculeEncoder(graphs()[0].shape[2], 8).double().eval()


def test_the_order_of_atoms_does_not_matter(encoder: MoleculeEncoder) -> None:
    atoms, bonds = graphs()
    order = torch.randperm(atoms.shape[1], generator=torch.Generator().manual_seed(0))
    moved = encoder(atoms[:, order], bonds[:, order][:, :, order])
    torch.testing.assert_close(moved, encoder(atoms, bonds))


def test_a_molecule_is_the_same_alone_and_among_larger_ones(encoder: MoleculeEncoder) -> None:
    together = encoder(*graphs())
    for k, smiles in enumerate(SMILES):
        torch.testing.assert_close(encoder(*graphs([smiles]))[0], together[k])


def test_what_padding_holds_is_never_read(encoder: MoleculeEncoder) -> None:
    atoms, bonds = graphs()
    there = bonds.diagonal(dim1=1, dim2=2)[..., None]
    torch.testing.assert_close(encoder(torch.where(there, atoms, 7.0), bonds), encoder(atoms, bonds))


def test_gradients_are_finite_with_padding(encoder: MoleculeEncoder) -> None:
    encoder(*graphs()).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in encoder.parameters())


@pytest.mark.parametrize("kind", ["fingerprints", "molecules"])
def test_the_order_of_drugs_does_not_matter_and_tables_are_not_saved(kind: str) -> None:
    if kind == "molecules":
        drugs = Molecules(*graphs(dtype=torch.float32), n_outputs=6)
    else:
        drugs = Fingerprints(torch.rand(3, 9))
    network = SynergyNetwork(drugs, torch.rand(2, 4), line_hidden=(5, 3), hidden=(7,), dropout=0.1).eval()
    index = torch.tensor([[0, 1, 0], [2, 1, 1], [0, 0, 1]])
    out = network(index)
    assert out.shape == (3, 1)
    assert len(out.unique()) == 3
    torch.testing.assert_close(network(index[:, [1, 0, 2]]), out)
    torch.testing.assert_close(network(index[1:2]), out[1:2])  # a batch reads only what it needs
    assert not [name for name in network.state_dict() if name.endswith(("lines", "atoms", "bonds", "fingerprint"))]
