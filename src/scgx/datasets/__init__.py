"""Data to work with: real cells that need no download, simulated platforms, registered real data, a file reader."""

from scgx._core.gene_sets import gene_set_features

from ._load import load
from ._marker_genes import marker_genes
from ._pbmc_panels import PbmcPanels, pbmc_panels
from ._read_drugmatrix import read_drugmatrix
from ._registry import registry
from ._simulate_platforms import simulate_platforms
from ._simulate_reactome import SimulatedReactomes, simulate_reactome

__all__ = [
    "PbmcPanels",
    "SimulatedReactomes",
    "gene_set_features",
    "load",
    "marker_genes",
    "pbmc_panels",
    "read_drugmatrix",
    "registry",
    "simulate_platforms",
    "simulate_reactome",
]
