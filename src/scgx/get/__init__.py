"""A result as an object of its own."""

from scgx.get._gene_map import gene_map
from scgx.get._harmonized import harmonized
from scgx.get._marker_ranks import marker_ranks
from scgx.get._reactome import reactome
from scgx.get._translated import translated

__all__ = ["gene_map", "harmonized", "marker_ranks", "reactome", "translated"]
