from __future__ import annotations

_MARKERS = {
    "kidney injury": ("Havcr1", "Clu", "A2m", "Lcn2", "Fgg", "Gpnmb", "Timp1", "Spp1", "Pvr", "Mmp12"),
    "PPAR alpha": (
        "Acot1", "Ehhadh", "Cyp4a1", "Hdc", "Vnn1", "Acaa1a", "Eci1", "Aqp7", "Cpt1b", "Acot3", "Acot2", "Ech1",
        "Acox1", "Pex11a",
    ),
}  # fmt: skip


def marker_genes() -> dict[str, list[str]]:
    """Rat genes that toxicants are known to raise, by mechanism.

    Returns
    -------
    ``"kidney injury"``: 10 genes raised in acute kidney injury [Glaab21]_ [Wang08]_, the best known being Havcr1
    (KIM-1) and Lcn2 (NGAL); ``"PPAR alpha"``: 14 genes that lead the liver's response to peroxisome proliferators
    [Oshida15]_. Both as listed by Cong et al., BMC Bioinformatics 2026. Symbols as there.

    References
    ----------
    .. [Glaab21] Glaab et al. (2021), Universal toxicity gene signatures for early identification of drug-induced tissue
       injuries in rats, Toxicol. Sci. 181:148.
    .. [Wang08] Wang et al. (2008), Validation of putative genomic biomarkers of nephrotoxicity in rats, Toxicology
       246:91.
    .. [Oshida15] Oshida et al. (2015), Identification of modulators of the nuclear receptor PPARα in a mouse liver gene
       expression compendium, PLoS ONE 10:e0112655.

    Examples
    --------
    >>> import scgx
    >>> scgx.datasets.marker_genes()["kidney injury"][:2]
    ['Havcr1', 'Clu']
    """
    return {name: list(genes) for name, genes in _MARKERS.items()}
