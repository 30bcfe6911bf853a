"""Figures that scanpy does not have."""

from scgx.pl._benchmark import benchmark

__all__ = ["benchmark"]
