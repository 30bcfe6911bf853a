"""From a gene's vector to its value: what is predicted, and how far off it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_N_CLASSES = 11  # log1p of values that sum to 10,000 is below 9.3


class Head(nn.Module):
    """What objectives share. All start from each gene's share of expressing cells and its mean over them.

    Parameters
    ----------
    n_genes
        Genes of the vocabulary.
    width
        Channels of the vectors.
    n_outputs
        Numbers that are read from a vector.
    """

    def __init__(self, n_genes: int, width: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, n_outputs)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)
        self.presence, self.value = nn.Parameter(torch.zeros(n_genes)), nn.Parameter(torch.ones(n_genes))

    @torch.no_grad()
    def set_baseline(self, detection: Tensor, mean: Tensor) -> None:
        """Start from the share of cells that express each gene, and its mean over them.

        As many zeros as expressed genes are hidden, so the odds of a hidden gene being expressed are those of the gene
        over those of the cell: log-odds minus their mean.
        """
        detection = detection.clamp(1e-4, 1 - 1e-4)
        self.presence.copy_(detection.logit() - detection.mean().logit())
        self.value.copy_(mean)

    def forward(self, hidden: Tensor, genes: Tensor, offset: Tensor) -> Tensor:
        """Outputs, cells × T × n_outputs, from vectors (cells × T × width), their genes and each cell's mean deviation."""
        raise NotImplementedError

    def expected(self, out: Tensor, log_odds: Tensor | None = None) -> Tensor:
        """Expected value, cells × T.

        Parameters
        ----------
        out
            What :meth:`forward` gave.
        log_odds
            log (expressed / not expressed) over the measured genes of each cell, cells × 1: undoes that training shows as many
            zeros as expressed genes. ``None``: as in training.
        """
        raise NotImplementedError

    def loss(self, out: Tensor, values: Tensor) -> Tensor:
        """Loss of each target, with the shape of ``values``."""
        raise NotImplementedError


class HurdleHead(Head):
    """Whether a gene is expressed, and its value if it is: log-odds l and mean μ; expected is sigmoid(l) μ.

    μ starts as the gene's mean over expressing cells plus the cell's mean deviation from such means. The loss is the
    cross-entropy of l, plus the squared error of μ where the gene is expressed.
    """

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__(n_genes, width, 2)
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, hidden: Tensor, genes: Tensor, offset: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        start = torch.stack([self.presence[genes], self.value[genes] + self.slope * offset[:, None]], -1)
        return self.out(hidden) + start

    def expected(self, out: Tensor, log_odds: Tensor | None = None) -> Tensor:
        """See :meth:`Head.expected`."""
        return torch.sigmoid(out[..., 0] if log_odds is None else out[..., 0] + log_odds) * out[..., 1]

    def loss(self, out: Tensor, values: Tensor) -> Tensor:
        """See :meth:`Head.loss`."""
        there = (values > 0).to(out.dtype)
        presence = F.binary_cross_entropy_with_logits(out[..., 0], there, reduction="none")
        return presence + there * (out[..., 1] - values).square()


class RegressionHead(Head):
    """One number and its squared error, as in the paper. It cannot tell a zero from a low value: no odds to correct."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__(n_genes, width, 1)

    def forward(self, hidden: Tensor, genes: Tensor, offset: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        return self.out(hidden) + (torch.sigmoid(self.presence) * self.value)[genes][..., None]

    def expected(self, out: Tensor, log_odds: Tensor | None = None) -> Tensor:
        """See :meth:`Head.expected`; the odds are ignored."""
        return out[..., 0]

    def loss(self, out: Tensor, values: Tensor) -> Tensor:
        """See :meth:`Head.loss`."""
        return (out[..., 0] - values).square()


class ClassificationHead(Head):
    """Classes 0, (0, 1], (1, 2], …, (9, ∞) and their cross-entropy; expected is the mean of their middles."""

    def __init__(self, n_genes: int, width: int) -> None:
        super().__init__(n_genes, width, _N_CLASSES)

    def forward(self, hidden: Tensor, genes: Tensor, offset: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        return self.out(hidden) - F.pad(self.presence[genes][..., None], (0, _N_CLASSES - 1))

    def expected(self, out: Tensor, log_odds: Tensor | None = None) -> Tensor:
        """See :meth:`Head.expected`."""
        if log_odds is not None:
            out = out - F.pad(log_odds[..., None], (0, _N_CLASSES - 1))
        middle = torch.arange(_N_CLASSES, device=out.device) - 0.5
        return torch.softmax(out, -1) @ middle.clamp(min=0).to(out.dtype)

    def loss(self, out: Tensor, values: Tensor) -> Tensor:
        """See :meth:`Head.loss`."""
        classes = values.ceil().long().clamp(0, _N_CLASSES - 1)
        return F.cross_entropy(out.transpose(1, 2), classes, reduction="none")


HEADS: dict[str, type[HurdleHead | RegressionHead | ClassificationHead]] = {
    "hurdle": HurdleHead,
    "regression": RegressionHead,
    "classification": ClassificationHead,
}
