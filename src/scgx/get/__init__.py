"""A result as an object of its own."""

from scgx.get._harmonized import harmonized
from scgx.get._translated import translated

__all__ = ["harmonized", "translated"]
