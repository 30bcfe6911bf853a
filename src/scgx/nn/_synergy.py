from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from scgx.nn._molecule_graph import MoleculeEncoder
from scgx.nn._perceptron import perceptron


class Fingerprints(nn.Module):
    """Molecules as rows of a table of fingerprints; learns nothing."""

    fingerprint: Tensor

    def __init__(self, fingerprint: Tensor) -> None:
        super().__init__()
        self.n_outputs = fingerprint.shape[1]
        self.register_buffer("fingerprint", fingerprint, persistent=False)

    def forward(self, drugs: Tensor) -> Tensor:
        """Vectors of some drugs, by their rows."""
        return self.fingerprint[drugs]


class Molecules(nn.Module):
    """Molecules as graphs that a :class:`MoleculeEncoder` reads.

    Parameters
    ----------
    atoms, bonds
        See :func:`scgx._core.molecules.molecule_graphs`.
    n_outputs
        Length of a molecule's vector.
    """

    atoms: Tensor
    bonds: Tensor

    def __init__(self, atoms: Tensor, bonds: Tensor, *, n_outputs: int) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.register_buffer("atoms", atoms, persistent=False)
        self.register_buffer("bonds", bonds, persistent=False)
        self.encoder = MoleculeEncoder(atoms.shape[2], n_outputs)

    def forward(self, drugs: Tensor) -> Tensor:
        """Vectors of some drugs, by their rows."""
        return self.encoder(self.atoms[drugs], self.bonds[drugs])


class SynergyNetwork(nn.Module):
    """Two molecules and a cell line to one number, the mean over both orders of the molecules.

    DeepSynergy in form with :class:`Fingerprints`, DeepDDS in form with :class:`Molecules`.

    Parameters
    ----------
    drugs
        Gives a vector for each row of a table of drugs.
    lines
        Standardised expression, cell lines × genes.
    line_hidden
        Hidden units through which expression goes; none hands it on as it is.
    hidden
        Units of the hidden layers over both molecules and the line.
    dropout
        After each hidden layer.
    """

    lines: Tensor

    def __init__(
        self,
        drugs: Fingerprints | Molecules,
        lines: Tensor,
        *,
        line_hidden: Sequence[int] = (),
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        self.drugs = drugs
        self.register_buffer("lines", lines, persistent=False)
        n_line = lines.shape[1]
        self.line: nn.Module = nn.Identity()
        if line_hidden:
            *first, last = line_hidden
            self.line = perceptron(n_line, last, hidden=tuple(first), dropout=dropout)
            n_line = last
        self.head = perceptron(2 * drugs.n_outputs + n_line, 1, hidden=hidden, dropout=dropout)

    def forward(self, index: Tensor) -> Tensor:
        """Rows × 1 from rows × 3: the rows of both drugs and of the line in their tables."""
        used, place = index[:, :2].unique(return_inverse=True)  # each molecule is read once
        drug = self.drugs(used)
        a, b = drug[place[:, 0]], drug[place[:, 1]]
        used, place = index[:, 2].unique(return_inverse=True)
        line = self.line(self.lines[used])[place]
        return (self.head(torch.cat([a, b, line], dim=1)) + self.head(torch.cat([b, a, line], dim=1))) / 2
