"""A result as an object of its own."""

from scgx.get._harmonized import harmonized
from scgx.get._marker_ranks import marker_ranks
from scgx.get._translated import translated

__all__ = ["harmonized", "marker_ranks", "translated"]
