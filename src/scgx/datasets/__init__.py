"""Data to work with: real cells that need no download, simulated platforms, registered real data, file readers."""

from scgx._core.gene_sets import gene_set_features

from ._load import load
from ._marker_genes import marker_genes
from ._pbmc_panels import PbmcPanels, pbmc_panels
from ._read_drugmatrix import read_drugmatrix
from ._read_l1000 import read_l1000
from ._read_sciplex import read_sciplex
from ._registry import registry
from ._simulate_drug_screen import SimulatedDrugScreen, simulate_drug_screen
from ._simulate_platforms import simulate_platforms
from ._simulate_reactome import SimulatedReactomes, simulate_reactome

__all__ = [
    "PbmcPanels",
    "SimulatedDrugScreen",
    "SimulatedReactomes",
    "gene_set_features",
    "load",
    "marker_genes",
    "pbmc_panels",
    "read_drugmatrix",
    "read_l1000",
    "read_sciplex",
    "registry",
    "simulate_drug_screen",
    "simulate_platforms",
    "simulate_reactome",
]
