"""Plain torch blocks: no scvi, no AnnData. Imported only where they are used: torch is slow to load."""

from scgx.nn._perceptron import Network

__all__ = ["Network"]
