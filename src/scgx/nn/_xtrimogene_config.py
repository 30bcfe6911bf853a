"""Sizes of xTrimoGene, by name, and the choices that the paper compares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ValueEmbedding = Literal["auto", "round", "up", "equal"]
Decoder = Literal["cross", "self", "linear"]
Objective = Literal["hurdle", "regression", "classification"]


@dataclass(frozen=True)
class XTrimoGeneSize:
    """Width, depth and heads of encoder and decoder.

    The paper prints the ratios of its largest model only: depth 2 : 1, heads 1.5 : 1.

    Raises
    ------
    ValueError
        If a number is below 1 or heads do not divide the width.
    """

    width: int
    n_layers: int
    n_heads: int
    decoder_width: int
    decoder_layers: int
    decoder_heads: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1; found {value}.")
        for width, heads in (("width", "n_heads"), ("decoder_width", "decoder_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ValueError(
                    f"`{heads}` must divide `{width}`; found {heads}={getattr(self, heads)}, {width}={getattr(self, width)}."
                )


#: parameters are counted with 19,264 genes and the default decoder
SIZES = {
    "small": XTrimoGeneSize(96, 2, 6, 64, 1, 4),  # 2.2 M, of which the gene table has 1.8 M
    "3M": XTrimoGeneSize(120, 4, 6, 80, 2, 4),
    "10M": XTrimoGeneSize(256, 4, 4, 192, 2, 3),
    "100M": XTrimoGeneSize(768, 12, 12, 512, 6, 8),
}


@dataclass(frozen=True)
class XTrimoGeneConfig:
    """What :class:`XTrimoGene` is made of.

    Attributes
    ----------
    n_genes
        Genes of the vocabulary.
    size
        Sizes of encoder and decoder.
    decoder
        ``"cross"``, ``"self"`` or ``"linear"``, see the decoders.
    objective
        ``"hurdle"``, ``"regression"`` or ``"classification"``, see the heads.
    embedding
        How a value becomes a vector: ``"auto"``, ``"round"``, ``"up"`` or ``"equal"``.
    n_bins
        Bins of the value embedding.
    n_categories
        Categories of each metadata token, unknown not counted.
    depth
        Whether the encoder gets a token with the cell's sequencing depth.
    dropout
        In the layers' outputs.

    Raises
    ------
    ValueError
        If a choice is unknown or a number out of range.
    """

    n_genes: int
    size: XTrimoGeneSize = SIZES["small"]
    decoder: Decoder = "cross"
    objective: Objective = "hurdle"
    embedding: ValueEmbedding = "auto"
    n_bins: int = 100
    n_categories: tuple[int, ...] = ()
    depth: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in (("decoder", Decoder), ("objective", Objective), ("embedding", ValueEmbedding)):
            if getattr(self, name) not in get_args(choices):
                known = ", ".join(map(repr, get_args(choices)))
                raise ValueError(f"`{name}` must be one of {known}; found {getattr(self, name)!r}.")
        for name, least in (("n_genes", 2), ("n_bins", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}; found {getattr(self, name)}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and less than 1; found {self.dropout}.")
