from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Tokens = Literal["profile", "genes"]
ResponseDecoder = Literal["attention", "mlp", "lstm"]


@dataclass(frozen=True)
class DrugBERTConfig:
    """Sizes of :class:`DrugBERT`.

    Attributes
    ----------
    n_genes
        Genes, g.
    lines
        Names of the cell lines; at least one.
    classes
        Names of the drug classes; none: there is no such task.
    n_bits
        Length of a fingerprint.
    width, depth, n_heads
        Channels w, transformer layers of the encoder, and heads that channels are divided among.
    tokens
        ``"profile"``: one vector a profile (the paper). ``"genes"``: a token a gene.
    decoder
        ``"attention"``, ``"mlp"`` or ``"lstm"``; see :class:`DrugBERT`.
    dropout
        In the layers, and of fingerprint bits.

    Raises
    ------
    ValueError
        If a size is out of range or a name unknown.
    """

    n_genes: int
    lines: tuple[str, ...] = ("",)
    classes: tuple[str, ...] = ()
    n_bits: int = 2048
    width: int = 64
    depth: int = 1
    n_heads: int = 4
    tokens: Tokens = "profile"
    decoder: ResponseDecoder = "mlp"
    dropout: float = 0.3

    def __post_init__(self) -> None:
        for name in ("n_genes", "n_bits", "width", "depth", "n_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1; found {getattr(self, name)}.")
        if not self.lines:
            raise ValueError("`lines` must name at least one cell line; found none.")
        if self.width % self.n_heads:
            raise ValueError(f"`width` must be a multiple of `n_heads`; found {self.width} and {self.n_heads}.")
        for name, known in (("tokens", get_args(Tokens)), ("decoder", get_args(ResponseDecoder))):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {known}; found {getattr(self, name)!r}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and below 1; found {self.dropout}.")
