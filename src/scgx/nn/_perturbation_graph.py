"""GEARS in form: genes and perturbations on graphs, added up, decoded gene by gene with a look at all genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scgx.nn._gene_graphs import Graph, PerturbationNodes
from scgx.nn._perceptron import perceptron

#: weight of the co-expression graph in a gene's vector, as in GEARS
_POSITION = 0.2


@dataclass(frozen=True)
class PerturbationGraphConfig:
    """Sizes of :class:`PerturbationGraph`.

    Attributes
    ----------
    n_genes
        Measured genes, m.
    n_trained
        Perturbations with a vector of their own.
    n_coordinates
        What is known of a perturbation beforehand.
    n_embedding
        Length of the given gene embeddings; 0: genes are read by their values in control cells.
    width
        Channels w of a gene and of a perturbation.
    n_hops
        Steps along the edges of either graph.
    forget
        Share of the vectors of perturbations that are set to 0 in a training step, so that graph and coordinates must
        tell what the perturbation does: for one never seen nothing else is there.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    n_genes: int
    n_trained: int
    n_coordinates: int = 0
    n_embedding: int = 0
    width: int = 32
    n_hops: int = 1
    forget: float = 0.3

    def __post_init__(self) -> None:
        least = {"n_coordinates": 0, "n_embedding": 0}
        for name in ("n_genes", "n_trained", "n_coordinates", "n_embedding", "width", "n_hops"):
            value = getattr(self, name)
            if value < least.get(name, 1):
                raise ValueError(f"`{name}` must be at least {least.get(name, 1)}; found {value}.")
        if not 0 <= self.forget < 1:
            raise ValueError(f"`forget` must be at least 0 and below 1; found {self.forget}.")


class PerturbationGraph(nn.Module):
    r"""Change of every gene under perturbations applied together (Roohani, Huang and Leskovec 2024, in form).

    A gene has the vector :math:`\text{ReLU}(\text{norm}(e_g + x_g v_g)) + 0.2 \, (S_G P)_g` (with given embeddings
    :math:`A E_g` in place of :math:`e_g + x_g v_g`), a perturbation :math:`(S_P (O + C B))_p \, \Theta`: :math:`S` is one
    step of a graph convolution (SGC: symmetrically normalised adjacency with self-loops), O holds a learned vector of each
    perturbation (0 for one not trained with) and C its coordinates. Vectors of perturbations applied together are added and
    go through a perceptron to every gene: their number and order do not matter. Each gene reads its vector with weights of
    its own; a perceptron over all of these values (the cross-gene state) is read together with it by a second set.

    Compared with GEARS, batch normalisation is layer normalisation, vectors of perturbations start at 0 and there are
    coordinates, without which one never seen is a random vector; output is a change, not a profile; and a bilinear term
    :math:`\sum_p z_p \cdot l_g` lets it be additive.

    Parameters
    ----------
    config
        Sizes.
    genes
        Graph of genes.
    embedding
        Given embeddings, m × ``n_embedding``.

    Raises
    ------
    ImportError
        If torch-geometric is not installed.
    """

    gene_edges: Tensor
    gene_weight: Tensor
    name_edges: Tensor
    name_weight: Tensor
    coordinates: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, config: PerturbationGraphConfig, genes: Graph, embedding: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        m, w = config.n_genes, config.width
        self.register_buffer("gene_edges", torch.from_numpy(genes.edges))
        self.register_buffer("gene_weight", torch.from_numpy(genes.weight))
        for name, shape in (("name_edges", (2, 0)), ("name_weight", (0,)), ("coordinates", (0, config.n_coordinates))):
            dtype = torch.int64 if name == "name_edges" else torch.float32
            self.register_buffer(name, torch.zeros(shape, dtype=dtype), persistent=False)
        self.register_buffer("embedding", embedding)
        self.register_buffer("center", torch.zeros(m))
        self.register_buffer("scale", torch.ones(()))
        if config.n_embedding:
            self.embed = nn.Linear(config.n_embedding, w, bias=False)
        else:
            self.gene, self.value = nn.Parameter(_normal(m, w)), nn.Parameter(_normal(m, w))
        self.position, self.gene_convolution = nn.Parameter(_normal(m, w)), _convolution(w, config.n_hops)
        self.own = nn.Parameter(torch.zeros(config.n_trained, w))
        self.describe = nn.Linear(config.n_coordinates, w, bias=False) if config.n_coordinates else None
        self.name_convolution = _convolution(w, config.n_hops)
        self.fuse = perceptron(w, w, hidden=(w,), dropout=0.0)
        self.norms = nn.ModuleList([nn.LayerNorm(w), nn.LayerNorm(w)])
        self.recover = perceptron(w, w, hidden=(2 * w,), dropout=0.0)
        self.first, self.first_bias = nn.Parameter(_normal(m, w)), nn.Parameter(torch.zeros(m))
        self.linear = nn.Parameter(_normal(m, w))
        self.cross = perceptron(m, w, hidden=(w,), dropout=0.0)
        self.second, self.second_bias = nn.Parameter(0.1 * _normal(m, w + 1)), nn.Parameter(torch.zeros(m))

    def connect(self, nodes: PerturbationNodes) -> PerturbationGraph:
        """Set the perturbations that rows can have: those trained with first, then any others."""
        device = self.center.device
        self.name_edges = torch.from_numpy(nodes.graph.edges).to(device)
        self.name_weight = torch.from_numpy(nodes.graph.weight).to(device)
        self.coordinates = torch.from_numpy(nodes.coordinates).to(device)
        return self

    def set_scale(self, change: Tensor) -> None:
        """Learn mean and size of changes, rows × m: predictions start from the mean."""
        self.center.copy_(change.mean(0))
        self.scale.copy_((change - self.center).square().mean().sqrt().clamp(min=1e-8))

    def forward(self, x: Tensor) -> Tensor:
        """Changes, rows × m.

        ``x`` has the control profile (m columns), then a column a perturbation that was connected: 1 where it is applied,
        else 0.
        """
        control, applied = x.split([self.config.n_genes, len(self.coordinates)], dim=1)
        together = applied @ self.perturbations()  # rows × w
        genes = torch.relu(self._genes(control) + _POSITION * self._positions())  # rows × m × w
        h = self.recover(torch.relu(self.norms[1](genes + self.fuse(together)[:, None])))
        first = (h * self.first).sum(-1) + self.first_bias
        state = self.cross(first)  # rows × w
        both = first * self.second[:, 0] + state @ self.second[:, 1:].T + self.second_bias
        return self.center + self.scale * (both + together @ self.linear.T)

    def perturbations(self) -> Tensor:
        """Vectors of the connected perturbations, nodes × w."""
        own: Tensor = self.own
        if self.training and self.config.forget:
            own = own * (torch.rand(len(own), 1, device=own.device) >= self.config.forget)
        own = nn.functional.pad(own, (0, 0, 0, len(self.coordinates) - len(own)))
        nodes = own if self.describe is None else own + self.describe(self.coordinates)
        return nodes + self.name_convolution(nodes, self.name_edges, self.name_weight)

    def _genes(self, control: Tensor) -> Tensor:
        given = self.embed(self.embedding) if self.config.n_embedding else self.gene + control[..., None] * self.value
        return torch.relu(self.norms[0](given))

    def _positions(self) -> Tensor:
        return self.gene_convolution(self.position, self.gene_edges, self.gene_weight)


def _normal(rows: int, width: int) -> Tensor:
    return torch.empty(rows, width).normal_(std=width**-0.5)


def _convolution(width: int, n_hops: int) -> Any:
    try:
        from torch_geometric.nn import SGConv
    except ImportError as error:
        raise ImportError(
            "graph convolutions need torch-geometric: install the extra `[graph]`, `pip install scgx-tools[graph]`."
        ) from error
    return SGConv(width, width, K=n_hops, bias=False)
