from __future__ import annotations

import torch

from scgx.nn import Seq2Seq


def _network(dropout: float = 0.0) -> Seq2Seq:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return Seq2Seq(6, 5, width=8, n_heads=2, n_layers=1, dropout=dropout).eval()


X = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randn(3, 5, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_a_value_depends_on_those_before_it_alone() -> None:
    network, changed = _network(), Y.clone()
    changed[:, 2] += 1
    difference = (network(X, changed) - network(X, Y)).abs().amax(dim=0)
    assert (difference[:3] < 1e-6).all()
    assert (difference[3:] > 1e-4).all()


@torch.no_grad()
def test_what_it_writes_is_what_it_predicts_after_its_own_values() -> None:
    network = _network()
    written = network(X)
    torch.testing.assert_close(network(X, written), written, rtol=1e-4, atol=1e-5)
    assert (network(X, Y) - written).abs().max() > 1e-3


@torch.no_grad()
def test_profiles_do_not_see_each_other() -> None:
    network = _network()
    torch.testing.assert_close(network(X)[1:2], network(X[1:2]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_last_target_value_is_never_read() -> None:
    changed = Y.clone()
    changed[:, -1] = torch.nan
    torch.testing.assert_close(_network()(X, changed), _network()(X, Y))
