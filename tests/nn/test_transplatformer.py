from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from scgx.nn import SlotAttention, TransPlatformer, TransPlatformerConfig

SMALL = TransPlatformerConfig(n_source=9, n_target=7, bottleneck=5, width=4, n_encoder_layers=2, slots=3)


def network(config: TransPlatformerConfig, seed: int = 0) -> TransPlatformer:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return TransPlatformer(config)


def profiles(rows: int = 3, genes: int = 9) -> Tensor:
    return torch.randn(rows, genes, generator=torch.Generator().manual_seed(1))


def attended(attention: SlotAttention, x: Tensor, group: int, softmax: str) -> Tensor:
    """One head, one group, one row, as the paper writes it: n × r to s × r."""
    hidden = F.gelu(x @ attention.linear[group] + attention.bias[group])
    weights = (hidden @ attention.weight[group]).softmax(1 if softmax == "slots" else 0)
    return weights.T @ hidden


def by_hand(net: TransPlatformer, row: Tensor) -> Tensor:
    config = net.config
    values = row if net.bottleneck is None else net.bottleneck.weight @ row + net.bottleneck.bias
    x = torch.stack([values[i] * net.value[i] + net.gene[i] for i in range(len(values))])
    for layer in net.encoder:
        x = x + layer.norm(attended(layer.attention, x, 0, config.softmax))
    genes = []
    for d in range(config.n_decoders):
        slots = net.decoder[0].norm(attended(net.decoder[0].attention, x, d, config.softmax))
        for layer in net.decoder[1:]:
            slots = slots + layer.norm(attended(layer.attention, slots, d, config.softmax))
        genes.append(slots)
    genes = torch.cat(genes)[: config.n_target]
    return torch.stack([genes[g] @ net.projection[g] + net.bias[g] for g in range(config.n_target)])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="bottleneck"),
        pytest.param({"bottleneck": None}, id="gene tokens"),
        pytest.param({"n_decoder_layers": 3}, id="deep decoders"),
        pytest.param({"softmax": "tokens"}, id="tokens"),
        pytest.param({"slots": 512}, id="one decoder"),
        pytest.param({"n_encoder_layers": 0}, id="no encoder"),
    ],
)
def test_forward_is_the_formula_row_by_row(change: dict) -> None:
    net, x = network(replace(SMALL, **change)), profiles()
    expected = torch.stack([by_hand(net, row) for row in x])
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


def test_number_of_weights_at_the_papers_size() -> None:
    """CodeLink to BioSpyderWT, counted by hand."""
    n, m, k, r, s, decoders = 8565, 22794, 512, 16, 512, 45
    embedding = n * k + k + 2 * k * r
    encoder = 31 * (r * r + r + r * s + 2 * r)
    decoder = decoders * (r * r + r + r * s) + 2 * r
    projection = m * r + m
    with torch.device("meta"):
        net = TransPlatformer(TransPlatformerConfig(n, m, bottleneck=k, width=r, n_encoder_layers=31, slots=s))
    assert net.config.n_decoders == decoders
    assert sum(weight.numel() for weight in net.parameters()) == embedding + encoder + decoder + projection == 5_433_962


@pytest.mark.parametrize("bottleneck", [None, 5])
def test_every_weight_learns(bottleneck: int | None) -> None:
    net = network(replace(SMALL, bottleneck=bottleneck, n_decoder_layers=2))
    net(profiles()).square().sum().backward()
    assert [name for name, weight in net.named_parameters() if not weight.grad.abs().sum() > 0] == []


def test_a_missing_gene_is_the_zero_token() -> None:
    net, x = network(replace(SMALL, bottleneck=None)), profiles()
    gap = x.clone()
    gap[:, 2] = torch.nan
    without = network(net.config)
    with torch.no_grad():
        without.value[2], without.gene[2] = 0.0, 0.0
    torch.testing.assert_close(net(gap), without(x))


def test_behind_a_bottleneck_a_missing_gene_counts_as_zero() -> None:
    net, x = network(SMALL), profiles()
    gap, zero = x.clone(), x.clone()
    gap[0, 2], zero[0, 2] = torch.nan, 0.0
    torch.testing.assert_close(net(gap), net(zero))


@pytest.mark.parametrize("softmax", ["slots", "tokens"])
@pytest.mark.parametrize("bottleneck", [None, 5])
def test_attention_is_shared_among_the_measured_genes(bottleneck: int | None, softmax: str) -> None:
    net, x = network(replace(SMALL, bottleneck=bottleneck, softmax=softmax)), profiles()
    x[0, :3] = torch.nan
    attention = net.attention(x)
    torch.testing.assert_close(attention.sum(1), torch.ones(3))
    assert (attention[0, :3] == 0).all()
    assert (attention[1:] > 0).all()


def test_attention_behind_a_bottleneck_follows_its_weights() -> None:
    net = network(SMALL)
    with torch.no_grad():
        net.bottleneck.weight[:, 4] = 0.0
        net.bottleneck.weight[:, 5] = 3.0
    attention = net.attention(profiles())
    assert (attention[:, 4] == 0).all()
    assert (attention.argmax(1) == 5).all()


def test_attention_over_equal_tokens_is_equal() -> None:
    net = network(replace(SMALL, bottleneck=None, n_encoder_layers=0))
    with torch.no_grad():
        net.value.copy_(net.value[:1].expand_as(net.value))
        net.gene.copy_(net.gene[:1].expand_as(net.gene))
    torch.testing.assert_close(net.attention(torch.full((2, 9), 0.7)), torch.full((2, 9), 1 / 9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"width": 0}, r"`width` must be at least 1; found 0", id="width"),
        pytest.param({"bottleneck": 0}, r"`bottleneck` must be at least 1; found 0", id="bottleneck"),
        pytest.param({"n_decoder_layers": 0}, r"`n_decoder_layers` must be at least 1", id="decoder"),
        pytest.param({"n_encoder_layers": -1}, r"`n_encoder_layers` must be at least 0; found -1", id="encoder"),
        pytest.param({"n_heads": 3}, r"`n_heads` must divide `width`; found n_heads=3, width=4", id="heads"),
        pytest.param({"softmax": "genes"}, r"`softmax` must be 'slots' or 'tokens'; found 'genes'", id="softmax"),
    ],
)
def test_bad_sizes(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
