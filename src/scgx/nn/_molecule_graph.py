from __future__ import annotations

import torch
from torch import Tensor, nn


class GraphAttention(nn.Module):
    r"""Graph attention (GAT) over a padded dense adjacency.

    With :math:`h = x W` cut into heads, atom i takes

    .. math::
        h'_i = \sum_{j \in N(i)} \alpha_{ij} h_j + b, \quad
        \alpha_{ij} = \mathrm{softmax}_j\bigl(\mathrm{LeakyReLU}_{0.2}(a \cdot h_i + a' \cdot h_j)\bigr) ,

    where N(i) holds i and what it is bonded to. Heads are put side by side.

    Parameters
    ----------
    n_inputs
        Features of an atom.
    n_outputs
        Features of a head.
    n_heads
        Heads.

    References
    ----------
    Veličković et al. (ICLR 2018), equations 1 to 5.
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, n_heads: int) -> None:
        super().__init__()
        self.values = nn.Linear(n_inputs, n_heads * n_outputs, bias=False)
        self.receives = nn.Parameter(torch.empty(n_heads, n_outputs))
        self.sends = nn.Parameter(torch.empty(n_heads, n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_heads * n_outputs))
        for weight in (self.values.weight, self.receives, self.sends):
            nn.init.xavier_uniform_(weight)

    def forward(self, atoms: Tensor, bonds: Tensor) -> Tensor:
        """Molecules × atoms × (heads · features).

        Parameters
        ----------
        atoms
            Molecules × atoms × inputs.
        bonds
            Molecules × atoms × atoms, bool; true on the diagonal of atoms that are there.
        """
        h = self.values(atoms).unflatten(-1, self.receives.shape)  # molecules × atoms × heads × features
        score = (h * self.receives).sum(-1)[:, :, None] + (h * self.sends).sum(-1)[:, None]  # m × i × j × heads
        score = nn.functional.leaky_relu(score, 0.2).masked_fill(~bonds[..., None], -torch.inf)
        alpha = torch.nan_to_num(score.softmax(dim=2))  # padding attends to nothing
        return torch.einsum("mijh,mjhf->mihf", alpha, h).flatten(2) + self.bias


class MoleculeEncoder(nn.Module):
    """A vector a molecule: two layers of graph attention, the largest value over atoms, a linear layer.

    The order of atoms and the padding do not matter.

    Parameters
    ----------
    n_inputs
        Features of an atom.
    n_outputs
        Length of the vector.
    n_hidden
        Features of a head.
    n_heads
        Heads of the first layer; the second has one.
    dropout
        Share of inputs of either attention layer left out in training.

    References
    ----------
    Wang et al. (Brief. Bioinform. 2022), DeepDDS.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, *, n_hidden: int = 32, n_heads: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.first = GraphAttention(n_inputs, n_hidden, n_heads=n_heads)
        self.second = GraphAttention(n_heads * n_hidden, n_outputs, n_heads=1)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(n_outputs, n_outputs)

    def forward(self, atoms: Tensor, bonds: Tensor) -> Tensor:
        """Molecules × ``n_outputs``. See :class:`GraphAttention`."""
        h = nn.functional.elu(self.first(self.dropout(atoms), bonds))
        h = nn.functional.relu(self.second(self.dropout(h), bonds))
        there = bonds.diagonal(dim1=1, dim2=2)[..., None]
        # what is there is not negative, so 0 never wins over it
        return nn.functional.relu(self.out(torch.where(there, h, 0).amax(dim=1)))
