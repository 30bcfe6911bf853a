from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from scgx.nn import (
    Graph,
    PerturbationGraph,
    PerturbationGraphConfig,
    coexpression_graph,
    nearest_graph,
    perturbation_loss,
    perturbation_nodes,
    standardised,
)

GENES, NAMES, WIDTH = 6, 4, 5
RNG = np.random.default_rng(0)
SETS = (RNG.random((NAMES, 8)) < 0.5).astype(float)
NEW = (np.random.default_rng(1).random((2, 8)) < 0.5).astype(float)


def network_of(
    sets: np.ndarray = SETS, new: np.ndarray = NEW, *, embedding: int = 0, seed: int = 0
) -> tuple[PerturbationGraph, Graph]:
    """A network in double precision, weights that are 0 at first drawn too."""
    nodes = perturbation_nodes(sets, new, 2)
    genes = coexpression_graph(np.random.default_rng(2).normal(size=(30, GENES)), 2, least=0.0)
    config = PerturbationGraphConfig(GENES, len(sets), nodes.coordinates.shape[1], embedding, width=WIDTH)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        given = torch.randn(GENES, embedding) if embedding else None
        network = PerturbationGraph(config, genes, given)
        torch.nn.init.normal_(network.own)
        network.center.normal_()
    network.connect(nodes).double().eval()
    network.coordinates, network.name_weight = network.coordinates.double(), network.name_weight.double()
    return network, genes


def rows_of(members: list[list[int]], n_names: int, seed: int = 3) -> torch.Tensor:
    control = np.random.default_rng(seed).normal(size=(len(members), GENES))
    applied = np.array([[float(k in row) for k in range(n_names)] for row in members])
    return torch.from_numpy(np.hstack([control, applied]))


def convolved(values: np.ndarray, graph: Graph, weight: np.ndarray) -> np.ndarray:
    """One step of a simplified graph convolution, edge by edge: self-loops, symmetric normalisation, then weights."""
    n = len(values)
    degree = np.ones(n)
    for (_, target), w in zip(graph.edges.T, graph.weight, strict=True):
        degree[target] += float(w)
    out = np.zeros_like(values)
    for node in range(n):
        out[node] += values[node] / degree[node]
    for (source, target), w in zip(graph.edges.T, graph.weight, strict=True):
        out[target] += float(w) * values[source] / np.sqrt(degree[source] * degree[target])
    return out @ weight.T


def gelu(x: np.ndarray) -> np.ndarray:
    return torch.nn.functional.gelu(torch.from_numpy(x)).numpy()


def perceptron(layers: torch.nn.Sequential, x: np.ndarray) -> np.ndarray:
    first, last = ({k: v.detach().numpy() for k, v in layers[i].named_parameters()} for i in (0, 3))
    return gelu(x @ first["weight"].T + first["bias"]) @ last["weight"].T + last["bias"]


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def by_loops(network: PerturbationGraph, genes: Graph, x: np.ndarray, sets: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Every gene of every row by itself."""
    p = {name: value.detach().numpy() for name, value in network.named_parameters()}
    nodes = perturbation_nodes(sets, new, 2)
    own = np.vstack([p["own"], np.zeros((len(new), WIDTH))])
    described = own + nodes.coordinates.astype(float) @ p["describe.weight"].T
    vectors = described + convolved(described, nodes.graph, p["name_convolution.lin.weight"])
    positions = convolved(p["position"], genes, p["gene_convolution.lin.weight"])
    out = np.zeros((len(x), GENES))
    for i, row in enumerate(x):
        together = np.zeros(WIDTH)
        for k in np.flatnonzero(row[GENES:]):
            together = together + vectors[k]
        first = np.zeros(GENES)
        for g in range(GENES):
            gene = np.maximum(norm(p["gene"][g] + row[g] * p["value"][g]), 0)
            h = np.maximum(gene + 0.2 * positions[g], 0) + perceptron(network.fuse, together)
            h = perceptron(network.recover, np.maximum(norm(h), 0))
            first[g] = h @ p["first"][g] + p["first_bias"][g]
        state = perceptron(network.cross, first)
        for g in range(GENES):
            read = first[g] * p["second"][g, 0] + state @ p["second"][g, 1:] + p["second_bias"][g]
            out[i, g] = float(network.center[g]) + read + together @ p["linear"][g]
    return out


def test_the_network_equals_loops_over_genes_and_edges() -> None:
    network, genes = network_of()
    x = rows_of([[0], [1, 2], [4], [0, 3, 5]], NAMES + 2)
    expected = by_loops(network, genes, x.numpy(), SETS, NEW)
    np.testing.assert_allclose(network(x).detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("focus", [0.0, 2.0])
@pytest.mark.parametrize("softness", [0.0, 0.1])
def test_the_loss_equals_the_formula_gene_by_gene(focus: float, softness: float) -> None:
    predicted, measured = np.random.default_rng(0).normal(0, 0.1, size=(2, 3, 5))
    expected = np.zeros(3)
    for i in range(3):
        for g in range(5):
            sign = np.sign(predicted[i, g]) if softness == 0 else np.tanh(predicted[i, g] / softness)
            expected[i] += abs(predicted[i, g] - measured[i, g]) ** (2 + focus) / 5
            expected[i] += 0.1 * (np.sign(measured[i, g]) - sign) ** 2 / 5
    tensors = (torch.from_numpy(x) for x in (predicted, measured))
    np.testing.assert_allclose(perturbation_loss(*tensors, focus=focus, softness=softness), expected, rtol=1e-12)


def test_the_published_direction_term_trains_nothing_and_the_soft_one_does() -> None:
    measured = torch.tensor([[0.5, -0.5]])
    gradients = []
    for softness in (0.0, 0.1):
        predicted = torch.tensor([[-0.05, 0.05]], requires_grad=True)
        with_term, without = (
            perturbation_loss(predicted, measured, direction=weight, softness=softness).sum() for weight in (0.1, 0.0)
        )
        gradients.append(torch.autograd.grad(with_term - without, predicted)[0])
    assert (gradients[0] == 0).all()
    assert gradients[1][0, 0] < 0 < gradients[1][0, 1]  # towards the right sign


def test_genes_in_another_order_give_the_same_changes_in_that_order() -> None:
    network, genes = network_of()
    x = rows_of([[0, 1], [2]], NAMES + 2)
    expected = network(x)
    order = np.random.default_rng(5).permutation(GENES)
    place = np.argsort(order)
    other, _ = network_of()
    state = network.state_dict()
    for name in ("gene", "value", "position", "first", "first_bias", "linear", "second", "second_bias", "center"):
        state[name] = state[name][order]
    state["cross.0.weight"] = state["cross.0.weight"][:, order]
    state["gene_edges"] = torch.from_numpy(place[genes.edges])
    other.load_state_dict(state)
    permuted = torch.cat([x[:, :GENES][:, order], x[:, GENES:]], dim=1)
    torch.testing.assert_close(other(permuted), expected[:, order])


def test_further_perturbations_leave_the_known_ones_as_they_are() -> None:
    network, _ = network_of()
    few = network.perturbations()[:NAMES]
    network.connect(perturbation_nodes(SETS, np.vstack([NEW, NEW[:1], SETS[:1]]), 2))
    network.coordinates, network.name_weight = network.coordinates.double(), network.name_weight.double()
    many = network.perturbations()
    torch.testing.assert_close(many[:NAMES], few)
    torch.testing.assert_close(many[NAMES], many[NAMES + 2])  # the same sets, the same vector


def test_forgetting_is_for_training_only() -> None:
    network, _ = network_of()
    once, again = network.perturbations(), network.perturbations()
    assert torch.equal(once, again)
    network.train()
    drawn = torch.stack([network.perturbations() for _ in range(20)])
    assert not torch.equal(drawn, drawn[:1].expand_as(drawn))


def test_embeddings_take_the_place_of_values() -> None:
    network, _ = network_of(embedding=3)
    x = rows_of([[0], [0]], NAMES + 2)
    out = network.double()(x)
    torch.testing.assert_close(out[0], out[1])  # other control values, the same genes
    values, _ = network_of()
    assert not torch.allclose(values(x)[0], values(x)[1])


def test_nearest_nodes_are_the_sources_and_weak_edges_are_left_out() -> None:
    similarity = np.array([[-np.inf, 0.5, 0.2, 0.0], [0.5, -np.inf, 0.9, 0.0]])
    graph = nearest_graph(similarity, 2, least=0.1)
    found = {(int(s), int(t)): round(float(w), 6) for (s, t), w in zip(graph.edges.T, graph.weight, strict=True)}
    assert found == {(1, 0): 0.5, (2, 0): 0.2, (0, 1): 0.5, (2, 1): 0.9}


def test_coexpression_is_the_absolute_correlation_and_constant_genes_have_none() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    values = np.column_stack([x[:, 0], -x[:, 0] + 0.1 * x[:, 1], x[:, 2], np.full(50, 3.3)])
    graph = coexpression_graph(values, 20)
    assert {tuple(edge) for edge in graph.edges.T.tolist()} == {(0, 1), (1, 0)}
    np.testing.assert_allclose(graph.weight, abs(np.corrcoef(values[:, 0], values[:, 1])[0, 1]), rtol=1e-6)


@pytest.mark.parametrize("negative", [False, True])
def test_coordinates_hold_the_similarities_to_those_trained_with(negative: bool) -> None:
    a, b = SETS - 0.5 * negative, NEW - 0.5 * negative
    nodes = perturbation_nodes(a, b, 2)
    if negative:
        norms = np.linalg.norm(a, axis=1)
        expected = a @ a.T / np.outer(norms, norms)
        new = b @ a.T / np.outer(np.linalg.norm(b, axis=1), norms)
    else:
        expected, new = (np.array([[(x * y).sum() / np.maximum(x, y).sum() for y in a] for x in z]) for z in (a, b))
    np.testing.assert_allclose(nodes.coordinates[:NAMES] @ nodes.coordinates[:NAMES].T, expected, atol=1e-5)
    np.testing.assert_allclose(nodes.coordinates[NAMES:] @ nodes.coordinates[:NAMES].T, new, atol=1e-5)
    assert not (nodes.graph.edges[0] >= NAMES).any()  # no edge leaves one that was not trained with


def test_what_resembles_nothing_lies_at_zero() -> None:
    nodes = perturbation_nodes(np.eye(3, 4), np.array([[0, 0, 0, 1.0], [0, 0, 0, 0]]), 2)
    assert (nodes.coordinates[3:] == 0).all()
    assert nodes.similarity.tolist() == [0] * 5
    assert nodes.graph.edges.shape == (2, 0)


def test_standardised_embeddings_have_zeros_for_genes_without_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, size=(10, 2))
    values[4] = np.nan
    scaled = standardised(values)
    assert (scaled[4] == 0).all()
    measured = np.delete(scaled, 4, axis=0)
    np.testing.assert_allclose(measured.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(measured.std(axis=0), 1, rtol=1e-5)


def test_sizes_out_of_range_are_named() -> None:
    config = PerturbationGraphConfig(3, 2)
    with pytest.raises(ValueError, match="`width` must be at least 1; found 0"):
        replace(config, width=0)
    with pytest.raises(ValueError, match="`forget` must be at least 0 and below 1; found 1"):
        replace(config, forget=1.0)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(ImportError, match=r"install the extra `\[graph\]`"):
        network_of()
