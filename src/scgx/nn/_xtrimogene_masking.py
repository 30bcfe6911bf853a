from __future__ import annotations

import torch
from torch import Tensor


def biased_mask(
    batch: dict[str, Tensor], n_genes: int, *, ratio: float = 0.3, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Hide a share of each cell's expressed genes and as many zeros, to be predicted (section 4.2).

    Parameters
    ----------
    batch
        ``genes`` and ``values``, cells × L, of the expressed genes; those from ``lengths`` on are padding. More is passed on.
    n_genes
        Genes of the vocabulary, all of which were measured.
    ratio
        Share of the expressed genes; at least one is hidden and one left.
    generator
        Of the draw, on the CPU.

    Returns
    -------
    The batch with the visible genes alone, and with ``target_genes``, ``target_values`` (cells × T) and
    ``target_lengths``: expressed genes first, then zeros.
    """
    genes, values, lengths = batch["genes"], batch["values"], batch["lengths"]
    n_hidden = (ratio * lengths).round().long().clamp(min=1).minimum(lengths - 1).clamp(min=0)
    n_zeros = n_hidden.minimum(n_genes - lengths)
    order = _shuffled(lengths, genes.shape[1], generator)  # hidden ones come first
    hidden, zeros = int(n_hidden.max()), int(n_zeros.max())

    visible_at, visible = _shifted(n_hidden, lengths - n_hidden)
    target_at, target_lengths = _shifted(torch.zeros_like(lengths), n_hidden + n_zeros)
    is_zero = target_at >= n_hidden[:, None]
    drawn = _zeros(genes, lengths, n_genes, zeros, generator)
    expressed = order[:, :hidden].gather(1, target_at.clamp(max=max(hidden - 1, 0)))
    absent = drawn.gather(1, (target_at - n_hidden[:, None]).clamp(0, max(zeros - 1, 0))) if zeros else expressed
    target_genes = torch.where(is_zero, absent, genes.gather(1, expressed))
    target_values = values.gather(1, expressed).masked_fill(is_zero, 0.0)

    kept = order.gather(1, visible_at.clamp(max=order.shape[1] - 1))
    return batch | {
        "genes": genes.gather(1, kept),
        "values": values.gather(1, kept),
        "lengths": visible,
        "target_genes": target_genes,
        "target_values": target_values,
        "target_lengths": target_lengths,
    }


def _shuffled(lengths: Tensor, width: int, generator: torch.Generator | None) -> Tensor:
    """Positions of each row in random order, padding last."""
    noise = torch.rand(len(lengths), width, generator=generator)
    return noise.masked_fill(torch.arange(width) >= lengths[:, None], 2.0).argsort(1)


def _shifted(start: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Positions start … start + length − 1 of each row, and the lengths."""
    return start[:, None] + torch.arange(max(int(lengths.max()), 1)), lengths


def _zeros(genes: Tensor, lengths: Tensor, n_genes: int, n: int, generator: torch.Generator | None) -> Tensor:
    """Draw ``n`` genes without replacement from those that each row does not express."""
    noise = torch.rand(len(genes), n_genes, generator=generator)
    rows, columns = torch.nonzero(torch.arange(genes.shape[1]) < lengths[:, None], as_tuple=True)
    noise[rows, genes[rows, columns]] = 2.0
    return noise.topk(n, dim=1, largest=False).indices
