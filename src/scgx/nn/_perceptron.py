from __future__ import annotations

from torch import nn


def perceptron(n_inputs: int, n_outputs: int, *, hidden: tuple[int, ...], dropout: float) -> nn.Sequential:
    """A multilayer perceptron with GELU and dropout after each hidden layer."""
    sizes = (n_inputs, *hidden)
    layers: list[nn.Module] = []
    for size, next_size in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(size, next_size), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))
