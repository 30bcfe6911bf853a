from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from scgx.nn import SIZES, XTrimoGene, XTrimoGeneConfig, XTrimoGeneSize, biased_mask, length_buckets
from scgx.nn._xtrimogene_buckets import padding_share
from scgx.nn._xtrimogene_encoder import pool
from scgx.nn._xtrimogene_heads import HEADS, HurdleHead
from scgx.nn._xtrimogene_values import AutoDiscretization, BinEmbedding

N_GENES = 40
TINY = XTrimoGeneConfig(N_GENES, XTrimoGeneSize(12, 2, 3, 8, 1, 2), n_categories=(3,))
DECODERS = ("cross", "self", "linear")


def network(config: XTrimoGeneConfig = TINY) -> XTrimoGene:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return XTrimoGene(config).double().eval()


def cells(lengths: tuple[int, ...] = (20, 9, 2), width: int | None = None) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    genes = np.zeros((len(lengths), width or max(lengths)), dtype=np.int64)
    values = np.zeros(genes.shape)
    for row, n in enumerate(lengths):
        genes[row, :n], values[row, :n] = rng.choice(N_GENES, n, replace=False), rng.uniform(0.5, 4, n)
    return {
        "genes": torch.from_numpy(genes),
        "values": torch.from_numpy(values),
        "lengths": torch.tensor(lengths),
        "unit": torch.from_numpy(rng.uniform(0.5, 1, len(lengths))),
        "metadata": torch.tensor([[1], [0], [2]])[: len(lengths)],
    }


def targets(n_cells: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.stack([torch.randperm(N_GENES, generator=generator)[:6] for _ in range(n_cells)]), torch.tensor(
        [6, 4, 2][:n_cells]
    )


def test_auto_discretization_is_the_papers_formula() -> None:
    with torch.random.fork_rng(devices=[]):
        block = AutoDiscretization(6, 10).double()
    w1, w2 = block.first.weight.detach().numpy()[:, 0], block.mix.weight.detach().numpy()
    table, alpha = block.table.weight.detach().numpy(), float(block.alpha)
    v1 = 1.7 * w1
    v2 = np.where(v1 > 0, v1, 0.01 * v1)
    v3 = w2 @ v2 + alpha * v2
    expected = table @ (np.exp(v3) / np.exp(v3).sum())
    np.testing.assert_allclose(block(torch.tensor([1.7], dtype=torch.float64))[0].detach(), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("kind", "values", "bins"),
    [
        pytest.param("round", [0.0, 0.4, 1.6, 2.4], [0, 0, 2, 2], id="round"),
        pytest.param("up", [0.0, 0.4, 1.6, 50.0], [0, 1, 2, 3], id="up-and-the-last-bin"),
    ],
)
def test_fixed_bins(kind: str, values: list[float], bins: list[int]) -> None:
    embedding = BinEmbedding(3, 4, kind)  # type: ignore[arg-type]
    torch.testing.assert_close(embedding(torch.tensor(values)), embedding.table.weight[bins])


def test_equal_bins_hold_equally_many_values() -> None:
    embedding = BinEmbedding(1, 5, "equal")
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0)) ** 3
    embedding.set_edges(values)
    embedding.table.weight.data = torch.arange(5.0)[:, None]
    assert torch.bincount(embedding(values)[:, 0].long()).tolist() == pytest.approx([200] * 5, abs=2)


@pytest.mark.parametrize("ratio", [0.15, 0.3, 0.9])
def test_as_many_zeros_as_expressed_genes_are_hidden(ratio: float) -> None:
    batch = cells((20, 10, 15))
    masked = biased_mask(batch, N_GENES, ratio=ratio, generator=torch.Generator().manual_seed(0))
    for row, n in enumerate((20, 10, 15)):
        before = dict(zip(batch["genes"][row, :n].tolist(), batch["values"][row, :n].tolist(), strict=True))
        n_visible, n_targets = int(masked["lengths"][row]), int(masked["target_lengths"][row])
        visible = dict(
            zip(masked["genes"][row, :n_visible].tolist(), masked["values"][row, :n_visible].tolist(), strict=True)
        )
        asked = masked["target_genes"][row, :n_targets].tolist()
        told = dict(zip(asked, masked["target_values"][row, :n_targets].tolist(), strict=True))
        hidden = {gene: value for gene, value in told.items() if value > 0}
        assert len(told) == n_targets  # no gene twice
        assert visible | hidden == before
        assert not visible.keys() & told.keys()
        assert not {gene for gene in told if gene not in hidden} & before.keys()
        n_hidden = min(max(round(ratio * n), 1), n - 1)
        assert (len(hidden), n_targets - len(hidden)) == (n_hidden, min(n_hidden, N_GENES - n))


def test_every_expressed_gene_and_every_zero_is_equally_likely_to_be_hidden() -> None:
    batch = {name: x[:1].expand(4000, *x.shape[1:]) for name, x in cells((20,)).items()}
    masked = biased_mask(batch, N_GENES, ratio=0.3, generator=torch.Generator().manual_seed(0))
    assert set(masked["target_lengths"].tolist()) == {12}
    share = np.bincount(masked["target_genes"].numpy().ravel(), minlength=N_GENES) / 4000
    np.testing.assert_allclose(share, 0.3, atol=0.03)  # 6 of 20 expressed, 6 of 20 zeros


def test_cells_with_one_gene_keep_it() -> None:
    masked = biased_mask(cells((1, 2)), N_GENES)
    assert masked["lengths"].tolist() == [1, 1]
    assert masked["target_lengths"].tolist() == [0, 2]


@pytest.mark.parametrize("decoder", DECODERS)
def test_padding_has_no_influence(decoder: str) -> None:
    net = network(replace(TINY, decoder=decoder))  # type: ignore[arg-type]
    genes, lengths = targets()
    expected = net(cells(), genes, lengths)
    batch = cells(width=26)
    generator = torch.Generator().manual_seed(4)
    for row, n in enumerate(batch["lengths"]):
        batch["genes"][row, n:] = torch.randint(0, N_GENES, (26 - int(n),), generator=generator)
        batch["values"][row, n:] = 7.0
    wide = torch.cat([genes, torch.zeros(3, 3, dtype=torch.long)], 1)
    for row, n in enumerate(lengths):
        torch.testing.assert_close(net(batch, wide, lengths)[row, :n], expected[row, :n])
        one = {name: x[row : row + 1] for name, x in cells().items()}
        torch.testing.assert_close(net(one, genes[row : row + 1, :n], lengths[row : row + 1])[0], expected[row, :n])


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_order_of_genes_does_not_matter(decoder: str) -> None:
    net = network(replace(TINY, decoder=decoder))  # type: ignore[arg-type]
    batch, (genes, lengths) = cells(), targets()
    shuffled = {name: x.clone() for name, x in batch.items()}
    for row, n in enumerate(batch["lengths"].tolist()):
        order = torch.randperm(n, generator=torch.Generator().manual_seed(row))
        for name in ("genes", "values"):
            shuffled[name][row, :n] = batch[name][row, order]
    torch.testing.assert_close(net(shuffled, genes, lengths), net(batch, genes, lengths))
    for pooling in ("mean", "max", "both"):
        torch.testing.assert_close(pool(net.encoder(shuffled), pooling), pool(net.encoder(batch), pooling))


def test_pooling_is_over_the_expressed_genes_alone() -> None:
    encoded = network().encoder(cells())
    assert encoded.n_extra == 2  # metadata and depth
    own = encoded.tokens[1, 2 : 2 + 9]
    expected = torch.cat([own.mean(0), own.amax(0)])
    torch.testing.assert_close(pool(encoded, "both")[1], expected)
    with pytest.raises(ValueError, match="`pooling` must be 'mean', 'max' or 'both'"):
        pool(encoded, "sum")


def test_only_the_cross_decoder_answers_each_gene_by_itself() -> None:
    genes, _ = targets(1)
    everything, one = torch.tensor([6]), torch.tensor([1])
    batch = {name: x[:1] for name, x in cells().items()}
    cross, both = network(), network(replace(TINY, decoder="self"))
    torch.testing.assert_close(cross(batch, genes, everything)[:, :1], cross(batch, genes[:, :1], one))
    assert (both(batch, genes, everything)[:, :1] - both(batch, genes[:, :1], one)).abs().max() > 1e-4


def test_the_decoder_over_all_genes_tells_hidden_from_zero() -> None:
    net = network(replace(TINY, decoder="linear"))
    encoded, (genes, lengths) = net.encoder(cells()), targets()
    hidden = net.decode(encoded, genes, lengths)
    assert (hidden - net.decode(encoded, genes, lengths, observed=True)).abs().max() > 1e-3


def test_metadata_and_depth_are_read() -> None:
    net, (genes, lengths) = network(), targets()
    expected = net(cells(), genes, lengths)
    for name, x in (("metadata", torch.full((3, 1), 3)), ("unit", torch.full((3,), 2.0, dtype=torch.float64))):
        assert (net(cells() | {name: x}, genes, lengths) - expected).abs().max() > 1e-4


def test_hurdle_starts_as_gene_mean_plus_cell_offset() -> None:
    net = network()
    torch.nn.init.zeros_(net.head.out.weight)
    detection, mean = torch.rand(N_GENES).double() * 0.8 + 0.1, torch.rand(N_GENES).double() + 1
    net.head.set_baseline(detection, mean)
    batch, (genes, lengths) = cells(), targets()
    out = net(batch, genes, lengths)
    offset = (batch["values"][1, :9] - mean[batch["genes"][1, :9]]).mean()
    torch.testing.assert_close(out[1, :, 1], mean[genes[1]] + offset)
    # undone for a cell at the mean detection, the odds are those of the gene
    expected = net.head.expected(out, detection.mean().logit().expand(3, 1))
    torch.testing.assert_close(expected[1], detection[genes[1]] * out[1, :, 1])


def test_hurdle_loss_is_cross_entropy_plus_error_where_expressed() -> None:
    head, out = HurdleHead(4, 3), torch.tensor([[[0.3, 2.0], [-1.0, 5.0]]])
    loss = head.loss(out, torch.tensor([[1.5, 0.0]]))
    p = 1 / (1 + np.exp([-0.3, 1.0]))
    np.testing.assert_allclose(loss[0], [-np.log(p[0]) + 0.25, -np.log(1 - p[1])], rtol=1e-6)


def test_classes_are_stretches_of_one() -> None:
    head = HEADS["classification"](4, 3)
    out = torch.full((1, 1, 11), -50.0)
    out[..., 2] = 50.0  # (1, 2]
    assert float(head.expected(out)) == pytest.approx(1.5)
    assert float(head.loss(out, torch.tensor([[1.2]]))) == pytest.approx(0, abs=1e-4)
    assert float(head.loss(out, torch.tensor([[0.9]]))) > 50


def test_buckets_hold_every_row_once_and_are_drawn_anew() -> None:
    lengths = np.random.default_rng(0).lognormal(6, 0.5, 997).astype(int)
    draws = [length_buckets(lengths, 32, rng=np.random.default_rng(seed)) for seed in (1, 2)]
    for batches in (*draws, length_buckets(lengths, 32)):
        assert sorted(np.concatenate(batches).tolist()) == list(range(997))
        assert padding_share(lengths, batches) < 0.1
    assert not np.array_equal(np.concatenate(draws[0]), np.concatenate(draws[1]))
    at_random = np.array_split(np.random.default_rng(0).permutation(997), 32)
    assert padding_share(lengths, at_random) > 0.4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"decoder": "dense"}, r"`decoder` must be one of 'cross', 'self', 'linear'; found 'dense'"),
        ({"n_genes": 1}, "`n_genes` must be at least 2; found 1"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and less than 1"),
    ],
)
def test_errors(change: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(TINY, **change)  # type: ignore[arg-type]


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="`n_heads` must divide `width`; found n_heads=5, width=12"):
        XTrimoGeneSize(12, 2, 5, 8, 1, 2)


@pytest.mark.parametrize(("name", "millions"), [("3M", 3), ("10M", 10), ("100M", 120)])
def test_named_sizes_have_about_the_parameters_of_their_name(name: str, millions: float) -> None:
    with torch.device("meta"):
        net = XTrimoGene(XTrimoGeneConfig(19_264, SIZES[name]))
    assert sum(x.numel() for x in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.1)
