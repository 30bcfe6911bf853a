from __future__ import annotations

import torch

from scgx.module import UGEConfig, UGEModule


def test_only_masked_values_are_reconstructed() -> None:
    """The loss depends on predictions of hidden genes alone, and what is hidden does not enter."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        module = UGEModule(UGEConfig(n_genes=12, n_tokens=12, width=8, n_layers=1, n_heads=2, dropout=0.0)).eval()
    x, species = torch.randn(4, 12), torch.tensor([0, 0, 1, 1])
    module.set_scale(x, species)
    out = module.inference(x, species, None)
    hidden = out["hidden"]
    assert 0 < hidden.sum() < hidden.numel()
    relative = out["relative"].clone().requires_grad_(True)
    module._reconstruction(out | {"relative": relative}).sum().backward()
    assert torch.equal(relative.grad != 0, hidden)
    changed = torch.where(hidden, x + 5, x)  # outside training the same genes are hidden
    torch.testing.assert_close(module.inference(changed, species, None)["h"], out["h"])
