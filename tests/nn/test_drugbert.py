from __future__ import annotations

import numpy as np
import pytest
import torch

from scgx.nn import DrugBERT, DrugBERTConfig, name_bits
from scgx.nn._drugbert_decoders import AttentionDecoder

GENES, BITS, ROWS = 7, 12, 5
SMALL = {"n_bits": BITS, "width": 8, "depth": 1, "n_heads": 2, "lines": ("a", "b"), "classes": ("x", "y", "z")}


def make(seed: int = 0, **options: object) -> DrugBERT:
    torch.default_generator.manual_seed(seed)
    network = DrugBERT(DrugBERTConfig(GENES, **(SMALL | options))).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # no parameter at its start of zero
            parameter.add_(0.3 * torch.randn_like(parameter))
    network.set_scale(2 + torch.randn(20, GENES), torch.randn(20, GENES), fresh=True)
    return network


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    bits = (torch.rand(ROWS, BITS, generator=generator) < 0.4).float()
    return {
        "control": torch.randn(ROWS, GENES, generator=generator),
        "change": torch.randn(ROWS, GENES, generator=generator),
        "hidden": torch.rand(ROWS, GENES, generator=generator) < 0.4,
        "condition": (bits, torch.tensor([0, 1, 1, 0, 1]), torch.randn(ROWS, generator=generator)),
    }


FORMS = [
    pytest.param({"tokens": tokens, "decoder": decoder}, id=f"{tokens}-{decoder}")
    for tokens in ("profile", "genes")
    for decoder in ("attention", "mlp", "lstm")
]


def test_attention_decoder_equals_a_loop_over_rows_genes_and_heads() -> None:
    torch.default_generator.manual_seed(0)
    decoder = AttentionDecoder(DrugBERTConfig(GENES, **SMALL)).double().eval()
    tokens, condition, together = (torch.randn(ROWS, *n, 8, dtype=torch.float64) for n in ((1,), (3,), ()))
    found = decoder(tokens, condition, together)
    memory = decoder.mix(torch.cat([together[:, None], tokens, condition], 1) + decoder.kind).detach().numpy()
    weights = {name: x.detach().numpy() for name, x in decoder.state_dict().items()}
    expected = np.zeros((ROWS, GENES))
    for row in range(ROWS):
        keys = memory[row] @ weights["key.weight"].T + weights["key.bias"]
        values = memory[row] @ weights["value.weight"].T + weights["value.bias"]
        for gene in range(GENES):
            for head in (slice(0, 4), slice(4, 8)):
                score = np.exp(keys[:, head] @ weights["query_of_gene"][gene, head] / 2)
                read = (score / score.sum()) @ values[:, head]
                expected[row, gene] += read @ weights["readout_of_gene"][gene, head]
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10)


def test_gradients_of_the_attention_decoder_are_right() -> None:
    torch.default_generator.manual_seed(0)
    decoder = AttentionDecoder(DrugBERTConfig(3, **SMALL)).double().eval()
    inputs = tuple(torch.randn(2, *n, 8, dtype=torch.float64, requires_grad=True) for n in ((1,), (3,), ()))
    assert torch.autograd.gradcheck(decoder, inputs)


@pytest.mark.parametrize("form", FORMS)
def test_hidden_changes_are_not_read_and_visible_ones_are(form: dict[str, str]) -> None:
    network, rows = make(**form), batch()
    expected = network(**rows)[0]
    other = rows | {"change": torch.where(rows["hidden"], torch.full_like(rows["change"], torch.nan), rows["change"])}
    torch.testing.assert_close(network(**other)[0], expected)
    seen = rows | {"change": torch.where(rows["hidden"], rows["change"], rows["change"] + 1)}
    assert (network(**seen)[0] - expected).abs().max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_no_prediction_depends_on_other_rows(form: dict[str, str]) -> None:
    network, rows = make(**form), batch()
    alone = [
        network(
            rows["control"][[k]],
            rows["change"][[k]],
            rows["hidden"][[k]],
            tuple(part[[k]] for part in rows["condition"]),
        )[0]
        for k in range(ROWS)
    ]
    torch.testing.assert_close(torch.cat(alone), network(**rows)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_only_the_lstm_depends_on_the_order_of_genes(form: dict[str, str]) -> None:
    network, rows = make(**form), batch()
    order = np.array([3, 6, 0, 1, 5, 2, 4])
    moved = {name: rows[name][:, order] for name in ("control", "change", "hidden")}
    other = network.rearranged(order, network.config.lines, network.config.classes)
    found = other(**moved, condition=rows["condition"])[0]
    difference = (found - network(**rows)[0][:, order]).abs().max()
    assert difference > 1e-4 if form["decoder"] == "lstm" else difference < 1e-5


def test_further_genes_and_lines_leave_what_is_known() -> None:
    network, rows = make(), batch()
    other = network.rearranged(np.array([*range(GENES), -1]), ["b", "new", "a"], ["x", "q"])
    assert other.gain_of_gene[:GENES].equal(network.gain_of_gene)
    assert other.decoder.readout_of_gene[:GENES].equal(network.decoder.readout_of_gene)
    lines = network.condition.vector_of_line
    torch.testing.assert_close(other.condition.vector_of_line, torch.stack([lines[1], lines.mean(0), lines[0]]))
    told = other.tell(torch.randn(ROWS, 8))
    assert told["line"].shape == (ROWS, 3)
    assert told["class"].shape == (ROWS, 2)
    assert other(torch.randn(ROWS, GENES + 1), condition=rows["condition"])[0].shape == (ROWS, GENES + 1)


def test_a_condition_that_is_not_told_and_an_unknown_line_say_nothing() -> None:
    network, rows = make(), batch()
    bits, line, dose = rows["condition"]
    unknown = network.condition((bits, torch.full_like(line, -1), dose))
    known = network.condition(rows["condition"])
    assert (unknown[:, 1] == 0).all()
    torch.testing.assert_close(unknown[:, [0, 2]], known[:, [0, 2]])
    control = rows["control"]
    hidden_all = network(control, rows["change"], torch.ones_like(rows["hidden"]))[0]
    torch.testing.assert_close(network(control)[0], hidden_all)
    assert (network(control, condition=rows["condition"])[0] - hidden_all).abs().max() > 1e-3


def test_a_fresh_network_starts_from_the_mean_and_others_keep_what_they_learned() -> None:
    network = make()
    torch.default_generator.manual_seed(2)
    change = 3 + 2 * torch.randn(500, GENES)
    bias = network.bias_of_gene.clone()
    network.set_scale(torch.randn(4, GENES), change, fresh=False)
    torch.testing.assert_close(network.bias_of_gene.data, bias)
    torch.testing.assert_close(network.gain_of_gene, change.square().mean(0).sqrt(), rtol=0.02, atol=0)
    network.set_scale(torch.randn(4, GENES), change, fresh=True)
    torch.testing.assert_close(network.bias_of_gene * network.gain_of_gene, change.mean(0))


def test_the_strength_of_a_response_is_one_factor_for_all_genes() -> None:
    network, rows = make(decoder="mlp"), batch()
    with torch.no_grad():
        network.strength.weight.zero_()
    for bias, strength in ((0.0, np.log(2)), (3.0, np.log1p(np.exp(3)))):
        torch.nn.init.constant_(network.strength.bias, bias)
        tokens = network.encode(rows["control"])
        told = network.condition(rows["condition"])
        values = network.decoder(tokens, told, tokens[:, 0] + told.sum(1)) + network.bias_of_gene
        found = network(rows["control"], condition=rows["condition"])[0]
        torch.testing.assert_close(found, float(strength) * values * network.gain_of_gene)


def test_a_name_draws_the_same_bits_everywhere() -> None:
    bits = name_bits(["aspirin", "ibuprofen", "aspirin"], 2048)
    assert bits.sum(axis=1).tolist() == [32, 32, 32]
    np.testing.assert_array_equal(bits[0], bits[2])
    assert bits[0] @ bits[1] < 8
    np.testing.assert_array_equal(name_bits(["ibuprofen"], 2048)[0], bits[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 9}, "`width` must be a multiple of `n_heads`; found 9 and 2"),
        ({"depth": 0}, "`depth` must be at least 1; found 0"),
        ({"tokens": "words"}, "`tokens` must be one of .*'genes'.*; found 'words'"),
        ({"decoder": "gru"}, "`decoder` must be one of .*'lstm'.*; found 'gru'"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"lines": ()}, "`lines` must name at least one cell line"),
    ],
)
def test_sizes_out_of_range_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DrugBERTConfig(GENES, **(SMALL | options))
