from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from scgx.nn import UGE, UGEConfig, ecs_loss, profile_similarity

SMALL = UGEConfig(n_genes=30, n_external=2, n_bins=5, n_tokens=7, width=8, n_layers=2, n_heads=2)


def network(config: UGEConfig = SMALL) -> UGE:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = UGE(config).eval()
        torch.nn.init.normal_(net.species.weight)
        torch.nn.init.normal_(net.cls)
    return net


def inputs(batch: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    draw = {"generator": generator}
    return {
        "x": torch.randn(batch, 30, **draw),
        "species": torch.tensor([0, 1, 1])[:batch],
        "tokens": torch.stack([torch.randperm(30, **draw)[:7] for _ in range(batch)]),
        "bins": torch.randint(0, 6, (batch, 7), **draw),
        "padding": torch.zeros(batch, 7, dtype=torch.bool),
        "external": torch.randint(0, 3, (batch, 7), **draw),
    }


def test_sequence_is_the_formula() -> None:
    """With layers that add nothing the encoder is LayerNorm: <cls> + √d Pᵀx/‖x‖ + b, then e_g + v_bin + t_external."""
    net, batch = network(), inputs()
    for layer in net.encoder.layers:
        for last in (layer.self_attn.out_proj, layer.linear2):
            torch.nn.init.zeros_(last.weight)
            torch.nn.init.zeros_(last.bias)
    h, tokens = net(**batch)
    for i in range(3):
        x, s = batch["x"][i], batch["species"][i]
        z = net.cls + 8**0.5 * (net.gene.weight.T @ x) / x.norm() + net.species.weight[s]
        torch.testing.assert_close(h[i], net.encoder.norm(z))
        for k in range(7):
            token = net.gene.weight[batch["tokens"][i, k]] + net.value.weight[batch["bins"][i, k]]
            token = token + net.external.weight[batch["external"][i, k]]
            torch.testing.assert_close(tokens[i, k], net.encoder.norm(token))


def test_decoder_gives_a_gene_what_its_embedding_reads() -> None:
    net, h = network(), torch.randn(2, 8)
    torch.testing.assert_close(net.decode(h)[:, 4], net.decoder(h) @ net.gene.weight[4])


def test_order_of_tokens_does_not_matter() -> None:
    net, batch = network(), inputs()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    turned = batch | {name: batch[name][:, order] for name in ("tokens", "bins", "padding", "external")}
    h, tokens = net(**batch)
    h_turned, tokens_turned = net(**turned)
    torch.testing.assert_close(h_turned, h)
    torch.testing.assert_close(tokens_turned, tokens[:, order])


def test_padding_has_no_influence() -> None:
    net, batch = network(), inputs()
    batch["padding"][:, 5:] = True
    other = batch | {"tokens": batch["tokens"].clone(), "bins": batch["bins"].clone()}
    other["tokens"][:, 5:], other["bins"][:, 5:] = 0, 1
    short = batch | {name: batch[name][:, :5] for name in ("tokens", "bins", "padding", "external")}
    torch.testing.assert_close(net(**other)[0], net(**batch)[0])
    torch.testing.assert_close(net(**short)[0], net(**batch)[0])


def test_external_token_zero_says_nothing() -> None:
    net, batch = network(), inputs()
    batch["external"].zero_()
    torch.testing.assert_close(net(**batch)[0], net(**(batch | {"external": None}))[0])


def test_rows_are_independent() -> None:
    net, batch = network(), inputs()
    alone = {name: value[1:2] for name, value in batch.items()}
    torch.testing.assert_close(net(**alone)[0], net(**batch)[0][1:2])


@pytest.mark.parametrize("beta", [0.4, "matrix"])
def test_ecs_loss_against_numpy(beta: float | str) -> None:
    h = np.random.default_rng(0).normal(size=(5, 3))
    wanted = np.full((5, 5), beta) if beta != "matrix" else np.random.default_rng(1).uniform(-1, 1, (5, 5))
    if beta == "matrix":
        wanted[0, 3] = np.nan  # left out
    squared = []
    for i in range(5):
        for j in range(i + 1, 5):
            cosine = h[i] @ h[j] / np.linalg.norm(h[i]) / np.linalg.norm(h[j])
            squared.append((cosine - wanted[i, j]) ** 2)
    expected = np.nanmean(squared)
    given = torch.tensor(wanted) if beta == "matrix" else beta
    assert float(ecs_loss(torch.tensor(h), given)) == pytest.approx(expected)
    assert float(ecs_loss(torch.tensor(h), given, printed=True)) == pytest.approx(-expected)


@pytest.mark.parametrize("start", [0.9, -0.2])
def test_ecs_draws_cosines_to_beta_and_the_printed_sign_drives_them_away(start: float) -> None:
    ends = {}
    for printed in (False, True):
        angle = torch.tensor(np.arccos(start), requires_grad=True)
        optimizer = torch.optim.SGD([angle], lr=0.25)
        for _ in range(200):
            h = torch.stack([torch.tensor([1.0, 0.0]), torch.stack([angle.cos(), angle.sin()]).float()])
            optimizer.zero_grad()
            ecs_loss(h, 0.5, printed=printed).backward()
            optimizer.step()
        ends[printed] = float(angle.detach().cos())
    assert ends[False] == pytest.approx(0.5, abs=1e-2)
    assert ends[True] == pytest.approx(1.0 if start > 0.5 else -1.0, abs=1e-2)


def test_one_row_has_no_pair() -> None:
    assert float(ecs_loss(torch.randn(1, 4), 0.5)) == 0


def test_similarity_of_profiles() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 20)).astype(np.float32)
    x[0, 15:], x[1, :5] = np.nan, np.nan
    x[3:, :] = np.nan
    x[2, 10:], x[3, 10:] = np.nan, rng.normal(size=10)
    x[4, 10:] = 2 * x[3, 10:]
    shape = rng.normal(size=(5, 6)).astype(np.float32)
    anchor = torch.tensor([-1.0, 0.0, 0.0, 1.0, -1.0])
    beta = profile_similarity(*(torch.from_numpy(a) for a in (x, shape)), torch.full((5,), -1.0)).numpy()
    both = np.arange(5, 15)
    cosine = x[0, both] @ x[1, both] / np.linalg.norm(x[0, both]) / np.linalg.norm(x[1, both])
    assert beta[0, 1] == pytest.approx(cosine, rel=1e-5)
    assert beta[3, 4] == pytest.approx(1, rel=1e-5)
    of_shape = shape[2] @ shape[3] / np.linalg.norm(shape[2]) / np.linalg.norm(shape[3])
    assert beta[2, 3] == pytest.approx(of_shape, rel=1e-5)  # no gene in common
    known = profile_similarity(torch.from_numpy(x), torch.from_numpy(shape), anchor).numpy()
    assert known[1, 2] == 1
    assert known[1, 3] == min(beta[1, 3], 0)
    assert known[0, 1] == beta[0, 1]


def test_weights_at_the_papers_size() -> None:
    """Counted by hand: d = 256, 4 layers of attention and a feed-forward of 4 d, 2,000 genes."""
    config = UGEConfig(n_genes=2000, n_bins=32, n_tokens=2000, width=256, n_layers=4, n_heads=8)
    d = 256
    tables = (2000 + 33 + 1 + 2) * d + d
    layer = 4 * (d * d + d) + (4 * d * d + 4 * d) + (4 * d * d + d) + 4 * d
    heads = d + 1 + 2 * (d * d + d)
    with torch.device("meta"):
        net = UGE(config)
    assert sum(weight.numel() for weight in net.parameters()) == tables + 4 * layer + 2 * d + heads


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"n_genes": 0}, r"`n_genes` must be at least 1; found 0", id="genes"),
        pytest.param({"n_bins": 1}, r"`n_bins` must be at least 2; found 1", id="bins"),
        pytest.param({"n_external": -1}, r"`n_external` must be at least 0", id="external"),
        pytest.param({"n_heads": 3}, r"`n_heads` must divide `width`; found n_heads=3, width=8", id="heads"),
        pytest.param({"dropout": 1.0}, r"`dropout` must be at least 0 and less than 1", id="dropout"),
    ],
)
def test_bad_sizes(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)
