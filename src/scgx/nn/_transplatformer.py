"""TransPlatformer: a profile on one panel becomes tokens, which attention assigns to the genes of another panel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scgx.nn._slot_attention import SlotAttention, Softmax


@dataclass(frozen=True)
class TransPlatformerConfig:
    """Sizes of :class:`TransPlatformer`.

    Attributes
    ----------
    n_source, n_target
        Genes of the source (n) and the target panel (m).
    bottleneck
        Tokens k that a fully connected layer makes of the source genes; ``None``: each source gene is a token.
    width
        Channels r of a token.
    n_encoder_layers, n_decoder_layers
        Attention layers before the concurrent decoders, and in each of them.
    slots
        Target genes s of a decoder: there are ⌈m / s⌉ decoders. At most m are used.
    n_heads
        Heads of each attention layer, a divisor of ``width``.
    softmax
        See :func:`scgx.nn.slot_attention`.

    Raises
    ------
    ValueError
        If a size is out of range.
    """

    n_source: int
    n_target: int
    bottleneck: int | None = 64
    width: int = 64
    n_encoder_layers: int = 2
    n_decoder_layers: int = 1
    slots: int = 512
    n_heads: int = 1
    softmax: Softmax = "slots"

    def __post_init__(self) -> None:
        least = {"n_encoder_layers": 0, "bottleneck": 1 if self.bottleneck is not None else None}
        for name in ("n_source", "n_target", "bottleneck", "width", "n_encoder_layers", "n_decoder_layers", "slots"):
            value, bound = getattr(self, name), least.get(name, 1)
            if bound is not None and value < bound:
                raise ValueError(f"`{name}` must be at least {bound}; found {value}.")
        if self.n_heads < 1 or self.width % self.n_heads:
            raise ValueError(f"`n_heads` must divide `width`; found n_heads={self.n_heads}, width={self.width}.")
        if self.softmax not in ("slots", "tokens"):
            raise ValueError(f"`softmax` must be 'slots' or 'tokens'; found {self.softmax!r}.")

    @property
    def n_tokens(self) -> int:
        """Tokens of the encoder."""
        return self.n_source if self.bottleneck is None else self.bottleneck

    @property
    def n_decoders(self) -> int:
        """Concurrent decoders, ⌈m / s⌉."""
        return -(-self.n_target // self.slots)


class _Layer(nn.Module):
    """LayerNorm of :class:`SlotAttention`, added to the tokens where slots and tokens correspond.

    The norm stands after the attention, because a sum over tokens grows with tokens / slots.
    """

    def __init__(self, config: TransPlatformerConfig, n_slots: int, *, n_groups: int = 1, skip: bool = True) -> None:
        super().__init__()
        self.attention = SlotAttention(
            config.width, n_slots, n_heads=config.n_heads, n_groups=n_groups, softmax=config.softmax
        )
        self.norm = nn.LayerNorm(config.width)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.attention(x))
        return x + y if self.skip else y


class TransPlatformer(nn.Module):
    """The network of Cong et al. (2026): [bottleneck], embedding, encoder, concurrent decoders, projection.

    Token i is x_i v_i + e_i with a learned value vector v_i and a learned gene vector e_i. Encoder layers turn tokens
    into as many tokens; each decoder turns them into s slots, one a target gene; each gene projects its slot to a
    value. The paper writes neither skip connections nor normalisation; both are added.

    A value that is not measured (NaN) counts as 0. Without a bottleneck its whole token is the zero vector: it tells
    neither a value nor which gene is missing.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: TransPlatformerConfig) -> None:
        super().__init__()
        self.config = config
        n_tokens, width = config.n_tokens, config.width
        self.bottleneck = None if config.bottleneck is None else nn.Linear(config.n_source, n_tokens)
        self.value = nn.Parameter(torch.empty(n_tokens, width).normal_(std=width**-0.5))
        self.gene = nn.Parameter(torch.empty(n_tokens, width).normal_(std=width**-0.5))
        self.encoder = nn.Sequential(*[_Layer(config, n_tokens) for _ in range(config.n_encoder_layers)])
        slots, decoders = min(config.slots, config.n_target), config.n_decoders
        self.decoder = nn.Sequential(
            *[_Layer(config, slots, n_groups=decoders, skip=i > 0) for i in range(config.n_decoder_layers)]
        )
        self.projection = nn.Parameter(torch.empty(config.n_target, width).normal_(std=1 / width))
        self.bias = nn.Parameter(torch.zeros(config.n_target))

    def forward(self, x: Tensor) -> Tensor:
        """Target values (batch × m) of source values ``x`` (batch × n, NaN where not measured)."""
        tokens = self.encoder(self._tokens(x))  # batch × 1 × tokens × r
        slots = self.decoder(tokens)  # batch × decoders × s × r
        genes = slots.flatten(1, 2)[:, : self.config.n_target]  # batch × m × r
        return (genes * self.projection).sum(-1) + self.bias

    @torch.no_grad()
    def attention(self, x: Tensor) -> Tensor:
        """Attention that each source gene gets, batch × n, with sum 1 over genes; missing genes get none.

        It is :meth:`SlotAttention.weights`, mean over the layers whose tokens stand for the source (those of the encoder
        and the first of the decoder) and over decoders. With a bottleneck the attention of a unit is divided among
        genes in proportion to the absolute weights of the unit.
        """
        measured, tokens = torch.isfinite(x), self._tokens(x)
        total = torch.zeros_like(tokens[:, 0, :, 0])
        for layer in [*self.encoder, self.decoder[0]]:
            total += layer.attention.weights(tokens).mean(1)
            tokens = layer(tokens)
        if self.bottleneck is not None:
            weight = self.bottleneck.weight.abs()
            total = total @ (weight / weight.sum(1, keepdim=True))
        total = total * measured
        return total / total.sum(1, keepdim=True)

    def _tokens(self, x: Tensor) -> Tensor:
        """Tokens of the encoder, batch × 1 × tokens × r."""
        measured, values = torch.isfinite(x), x.nan_to_num()
        if self.bottleneck is not None:
            return (self.bottleneck(values)[..., None] * self.value + self.gene)[:, None]
        return ((values[..., None] * self.value + self.gene) * measured[..., None])[:, None]
