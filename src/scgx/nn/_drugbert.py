"""DrugBERT: changes of expression, masked, and the drug, cell line and dose that made them, read by one network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.nn._drugbert_config import DrugBERTConfig
from scgx.nn._drugbert_decoders import DECODERS
from scgx.nn._drugbert_encoders import ENCODERS, Condition, ConditionEncoder


class DrugBERT(nn.Module):
    r"""Predict hidden changes of genes from those seen, or all of them from what was done (Tan, Wang and Zhang, in form).

    An encoder reads the control c and the change x of a profile, where some genes are hidden, and gives tokens T; h is the
    first of them. Encoders of the condition give vectors of drug (from its fingerprint), cell line and dose, which are
    zero where the condition is not told. The decoder reads :math:`z = h + d + l + t`, and gives values of all genes,
    :math:`\hat x_g = s_g \, a(z) \, (y_g + b_g)` with :math:`s_g` the usual size of changes of the gene, and the strength of
    the response, :math:`a(z) = \log(1 + e^{u \cdot z + c})`, one factor for all genes: a tenth of a dose does less of the same.
    So a hidden gene is predicted from the others (pre-training), and a response from a control cell and a condition with
    **all** genes hidden.
    Heads on h tell cell line, class of the drug and dose.

    Parameters
    ----------
    config
        Sizes.
    """

    control_mean_of_gene: Tensor
    control_scale_of_gene: Tensor
    gain_of_gene: Tensor
    scale: Tensor

    def __init__(self, config: DrugBERTConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ENCODERS[config.tokens](config)
        self.condition = ConditionEncoder(config)
        self.decoder = DECODERS[config.decoder](config)
        self.bias_of_gene = nn.Parameter(torch.zeros(config.n_genes))
        self.strength = nn.Linear(config.width, 1)
        nn.init.constant_(self.strength.bias, math.log(math.e - 1))  # a strength of 1
        self.logit_of_line = nn.Parameter(torch.zeros(len(config.lines), config.width))
        self.classifier = nn.Linear(config.width, len(config.classes)) if config.classes else None
        self.doser = nn.Linear(config.width, 1)
        self.register_buffer("control_mean_of_gene", torch.zeros(config.n_genes))
        for name in ("control_scale_of_gene", "gain_of_gene"):
            self.register_buffer(name, torch.ones(config.n_genes))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def set_scale(self, control: Tensor, change: Tensor, *, fresh: bool) -> None:
        """Learn the usual level of controls and size of changes of a data set, each rows × g.

        Few rows say little of a gene: the size of its changes is averaged with that of all genes, which weighs ten rows. A
        ``fresh`` network starts from the mean change.
        """
        n, usual = len(change), change.square().mean()
        self.scale.copy_(usual.sqrt().clamp(min=1e-8))
        gain = (n * change.square().mean(0) + 10 * usual) / (n + 10)
        self.gain_of_gene.copy_(gain.sqrt().clamp(min=1e-8))
        self.control_mean_of_gene.copy_(control.mean(0))
        variance = control.var(0, correction=0)
        self.control_scale_of_gene.copy_((0.5 * (variance + variance.mean())).sqrt().clamp(min=1e-3))
        if fresh:
            self.bias_of_gene.copy_(change.mean(0) / self.gain_of_gene)

    def forward(
        self,
        control: Tensor,
        change: Tensor | None = None,
        hidden: Tensor | None = None,
        condition: Condition | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Changes and latent vectors.

        Parameters
        ----------
        control
            Profiles of control cells, rows × g.
        change, hidden
            Their changes, and which of them must be predicted; ``None``: all.
        condition
            Fingerprints, numbers of lines, log10 doses; ``None``: not told.

        Returns
        -------
        Changes of all genes, rows × g, and h, rows × w.
        """
        tokens = self.encode(control, change, hidden)
        latent = tokens[:, 0]
        told = latent.new_zeros(len(latent), 3, latent.shape[1]) if condition is None else self.condition(condition)
        together = latent + told.sum(1)
        strength = F.softplus(self.strength(together))
        return self.gain_of_gene * strength * (self.decoder(tokens, told, together) + self.bias_of_gene), latent

    def encode(self, control: Tensor, change: Tensor | None = None, hidden: Tensor | None = None) -> Tensor:
        """Tokens, rows × T × w; see :meth:`forward`."""
        if change is None:
            change = torch.zeros_like(control)
        if hidden is None:
            hidden = torch.ones_like(control, dtype=torch.bool)
        level = (control - self.control_mean_of_gene) / self.control_scale_of_gene
        return self.encoder(level, change / self.gain_of_gene, hidden)

    def tell(self, latent: Tensor) -> dict[str, Tensor]:
        """Logits of cell line and of drug class, and the log10 dose, from latent vectors."""
        told = {"line": latent @ self.logit_of_line.T, "dose": self.doser(latent)[:, 0]}
        return told if self.classifier is None else told | {"class": self.classifier(latent)}

    def rearranged(self, genes: np.ndarray, lines: Sequence[str], classes: Sequence[str]) -> DrugBERT:
        """A copy on the CPU with other genes, lines and classes of drugs.

        Parameters
        ----------
        genes
            Number here of each gene of the copy; −1 for one unknown here, whose weights are drawn.
        lines
            Lines of the copy; those unknown here start from the mean of the others.
        classes
            Classes of the copy; where they are not those here, all weights of classes are drawn.
        """
        network = DrugBERT(replace(self.config, n_genes=len(genes), lines=tuple(lines), classes=tuple(classes)))
        number = {line: k for k, line in enumerate(self.config.lines)}
        of_line = np.array([number.get(line, -1) for line in lines])
        state = network.state_dict()
        for name, given in self.state_dict().items():
            old = given.cpu()
            if name.endswith("of_gene"):
                state[name][np.flatnonzero(genes >= 0)] = old[genes[genes >= 0]]
            elif name.endswith("of_line"):
                state[name][:] = old.mean(0)
                state[name][np.flatnonzero(of_line >= 0)] = old[of_line[of_line >= 0]]
            elif not name.startswith("classifier.") or network.config.classes == self.config.classes:
                state[name] = old.clone()
        network.load_state_dict(state)
        return network.train(self.training)
