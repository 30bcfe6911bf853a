"""Data to work with: real cells that need no download, simulated platforms, registered real data, a file reader."""

from ._load import load
from ._marker_genes import marker_genes
from ._pbmc_panels import PbmcPanels, pbmc_panels
from ._read_drugmatrix import read_drugmatrix
from ._registry import registry
from ._simulate_platforms import simulate_platforms

__all__ = ["PbmcPanels", "load", "marker_genes", "pbmc_panels", "read_drugmatrix", "registry", "simulate_platforms"]
