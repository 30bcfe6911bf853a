"""Universal Gene Embedding: a profile of any species as tokens, whose genes are vectors of one space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class UGEConfig:
    """Sizes of :class:`UGE`.

    Attributes
    ----------
    n_genes
        Rows of the embedding table G: genes of all species, tied orthologues counted once.
    n_species
        Species, each with an affine map of its own.
    n_external
        Categories of external tokens besides 0, which says nothing.
    n_bins
        Bins of relative values.
    n_tokens
        Genes K of a profile that become tokens.
    width
        Channels d of a token.
    n_layers, n_heads
        Of the transformer encoder.
    dropout
        In the encoder.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    n_genes: int
    n_species: int = 2
    n_external: int = 0
    n_bins: int = 32
    n_tokens: int = 128
    width: int = 64
    n_layers: int = 2
    n_heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        least = {"n_external": 0, "n_bins": 2}
        for name in ("n_genes", "n_species", "n_external", "n_bins", "n_tokens", "width", "n_layers", "n_heads"):
            if getattr(self, name) < least.get(name, 1):
                raise ValueError(f"`{name}` must be at least {least.get(name, 1)}; found {getattr(self, name)}.")
        if self.width % self.n_heads:
            raise ValueError(f"`n_heads` must divide `width`; found n_heads={self.n_heads}, width={self.width}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be at least 0 and less than 1; found {self.dropout}.")


class UGE(nn.Module):
    """Encoder and decoder of Belgadi, Zhang and Gopinath (2024).

    The token of gene g is e_g + v_bin + t_external (section 3.2). In front stands ``<cls>`` + √d P_sᵀ x / ‖x‖ + b_s,
    with the affine map P_s ∈ R^{p × d} of species s (section 3.5), whose rows are the embeddings e_g of its p genes. The
    encoder's output at ``<cls>`` is the profile's latent vector h. The decoder gives gene g the value
    MLP(h) · e_g, so a gene needs nothing but its embedding to be read and to be predicted.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: UGEConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.gene = nn.Embedding(config.n_genes, d)
        self.value = nn.Embedding(config.n_bins + 1, d)  # the last one: masked
        self.external = nn.Embedding(config.n_external + 1, d, padding_idx=0)
        self.species = nn.Embedding(config.n_species, d)
        self.cls = nn.Parameter(torch.zeros(d))
        for table in (self.gene, self.value, self.external):
            nn.init.normal_(table.weight, std=d**-0.5)
        with torch.no_grad():
            self.external.weight[0] = 0.0
        nn.init.zeros_(self.species.weight)  # no difference between species to begin with
        layer = nn.TransformerEncoderLayer(
            d, config.n_heads, 4 * d, config.dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.n_layers, nn.LayerNorm(d), enable_nested_tensor=False)
        for block in self.encoder.layers:
            block.self_attn.dropout = 0.0  # with it attention is not fused on a CPU, and several times slower
        self.token_head = nn.Linear(d, 1)
        self.decoder = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))

    def forward(
        self, x: Tensor, species: Tensor, tokens: Tensor, bins: Tensor, padding: Tensor, external: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latent vectors (batch × d) and token outputs (batch × K × d).

        Parameters
        ----------
        x
            Relative values, batch × G, 0 where hidden or not measured.
        species
            Number of the species of each row.
        tokens, bins
            Genes that are tokens and bins of their values, batch × K; bin ``n_bins`` is masked.
        padding
            Tokens to leave out, batch × K, true where a row has fewer than K genes.
        external
            External tokens, batch × K.
        """
        # the affine map, batch × d; of the profile's direction, so that a noisy or faint study counts as much
        z = self.config.width**0.5 * F.normalize(x, dim=1) @ self.gene.weight + self.species(species)
        embedded = self.gene(tokens) + self.value(bins)  # batch × K × d
        if external is not None:
            embedded = embedded + self.external(external)
        sequence = torch.cat([(self.cls + z)[:, None], embedded], 1)
        out = self.encoder(sequence, src_key_padding_mask=F.pad(padding, (1, 0)))
        return out[:, 0], out[:, 1:]

    def decode(self, h: Tensor) -> Tensor:
        """Relative values of all genes, batch × G, from latent vectors (batch × d)."""
        return self.decoder(h) @ self.gene.weight.T


def ecs_loss(h: Tensor, beta: Tensor | float, *, printed: bool = False) -> Tensor:
    """Similarity loss, mean over pairs i < i' of (cos(h_i, h_i') − β_ii')².

    The paper (section 3.5) prints −(cos − β)² with one β for all pairs. Minimised, that drives every cosine *away*
    from β, to 1 if it starts above and to −1 if below, whatever the pair: a way to sharpen clusters that are there already,
    not to bring together what belongs together. The purpose here is the latter, so β is the similarity that a pair should
    have, and cosines are drawn to it.

    Parameters
    ----------
    h
        Latent vectors, batch × d.
    beta
        Similarity of each pair, batch × batch, NaN for pairs to leave out; or one number.
    printed
        Use the paper's sign.

    Returns
    -------
    A scalar, 0 if there is no pair.
    """
    unit = F.normalize(h, dim=1)
    cosine = unit @ unit.T
    wanted = torch.as_tensor(beta, dtype=h.dtype, device=h.device).expand_as(cosine)
    pairs = torch.ones_like(cosine, dtype=torch.bool).triu(1) & torch.isfinite(wanted)
    squared = (cosine[pairs] - wanted[pairs]).square().sum() / pairs.sum().clamp(min=1)
    return -squared if printed else squared


def profile_similarity(x: Tensor, shape: Tensor, anchor: Tensor) -> Tensor:
    """Similarity β that pairs of profiles should have, batch × batch.

    The cosine over genes measured in both; of two rows without common genes (other species, no orthologues) the
    cosine of the distributions of their values; 1 for rows with the same anchor, and at most 0 for rows with
    different ones.

    Parameters
    ----------
    x
        Relative values, batch × G, NaN where not measured.
    shape
        Centred quantiles of each profile, batch × anything.
    anchor
        Number of a label known to mean the same in all species, −1 where not known.
    """
    measured, values = torch.isfinite(x).to(x.dtype), x.nan_to_num()
    common = measured @ measured.T
    energy = values.square() @ measured.T  # of row i over the genes of row j
    cosine = values @ values.T / (energy * energy.T).sqrt().clamp(min=1e-8)
    unit = F.normalize(shape, dim=1)
    beta = torch.where(common > 0, cosine, unit @ unit.T)
    known = (anchor[:, None] >= 0) & (anchor[None] >= 0)
    same = anchor[:, None] == anchor[None]
    return torch.where(known, torch.where(same, 1.0, beta.clamp(max=0.0)), beta)
