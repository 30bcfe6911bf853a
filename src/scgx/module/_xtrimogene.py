from __future__ import annotations

from typing import Literal

import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.nn import XTrimoGene, XTrimoGeneConfig
from scgx.nn._xtrimogene_encoder import Encoded, pool
from scgx.nn._xtrimogene_values import BinEmbedding

Pooling = Literal["mean", "max", "both"]


class XTrimoGeneModule(BaseModuleClass):
    """:class:`scgx.nn.XTrimoGene` with its losses: hidden values, or labels.

    Parameters
    ----------
    config
        Sizes and choices.
    n_labels
        Classes of the label head; 0: there is none.
    """

    def __init__(self, config: XTrimoGeneConfig, *, n_labels: int = 0) -> None:
        super().__init__()
        self.network = XTrimoGene(config)
        self.label_head = nn.Linear(config.size.width, n_labels) if n_labels else None
        self.task: Literal["pretrain", "label"] = "pretrain"

    @torch.no_grad()
    def start_from(self, detection: Tensor, mean: Tensor, sample: Tensor, loadings: Tensor) -> None:
        """Start from what training cells say.

        Parameters
        ----------
        detection, mean
            Share of the cells that express each gene, and its mean over these.
        sample
            Values, for bins that hold equally many.
        loadings
            Genes × components (at most the width) of a principal component analysis; they are added to random embeddings, so
            that genes that go together start close.
        """
        self.network.head.set_baseline(detection, mean)
        self.network.encoder.gene.weight.mul_(0.5)[:, : loadings.shape[1]].add_(loadings)
        if isinstance(self.network.encoder.value, BinEmbedding):
            self.network.encoder.value.set_edges(sample)

    def set_task(self, n_labels: int, *, freeze: bool, seed: int) -> None:
        """Learn labels from now on, by max pooling and a linear layer (section 5.3); ``freeze`` leaves the rest as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            head = nn.Linear(self.network.config.size.width, n_labels)
        self.network.requires_grad_(not freeze)
        self.label_head = head.to(self.device)
        self.task = "label"

    def latent(self, batch: dict[str, Tensor], pooling: Pooling) -> Tensor:
        """One vector a cell, cells × width (twice that for ``"both"``)."""
        return pool(self.network.encoder(self._cast(batch)), pooling)

    def label_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits, cells × classes."""
        if self.label_head is None:
            raise ValueError("the model has no labels; call `.fine_tune()` first.")
        return self.label_head(self.latent(batch, "max"))

    def context(self, batch: dict[str, Tensor], genes: Tensor) -> Tensor:
        """Vectors of measured genes in the context of each cell, cells × genes × decoder width, given gene numbers.

        Parameters
        ----------
        batch
            Cells.
        genes
            Chunks of genes, which are decoded one after the other: only a decoder over all genes needs memory for all.
        """
        encoded = self.network.encoder(self._cast(batch))
        return torch.cat([self._decode(encoded, part, observed=True) for part in genes.split(self._chunk())], 1)

    def impute(self, batch: dict[str, Tensor], genes: Tensor, log_odds: Tensor) -> Tensor:
        """Expected values of hidden genes, cells × genes, at least 0.

        Parameters
        ----------
        batch
            Cells, in which the genes are not among the visible ones.
        genes
            Their numbers.
        log_odds
            See :meth:`scgx.nn._xtrimogene_heads.Head.expected`.
        """
        batch = self._cast(batch)
        encoded, offset = self.network.encoder(batch), self.network.offset(batch)
        parts = []
        for part in genes.split(self._chunk()):
            asked = part.expand(len(offset), -1)
            out = self.network.head(self._decode(encoded, part), asked, offset)
            parts.append(self.network.head.expected(out, log_odds.to(out)))
        return torch.cat(parts, 1).clamp(min=0)

    def inference(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of the head at hidden genes, or logits of labels."""
        if self.task == "label":
            return {"out": self.label_logits(batch)}
        return {"out": self.network(self._cast(batch), batch["target_genes"], batch["target_lengths"])}

    def generative(self) -> dict[str, Tensor]:
        """Nothing: the network is no generative model."""
        return {}

    def loss(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor], generative_outputs: dict[str, Tensor]
    ) -> LossOutput:
        """Mean loss over the hidden genes of all cells, with the squared error beside it; or that of labels."""
        out = inference_outputs["out"].float()
        if self.task == "label":
            return LossOutput(loss=F.cross_entropy(out, tensors["label"]), n_obs_minibatch=len(out))
        at = torch.arange(out.shape[1], device=out.device)
        there = at < tensors["target_lengths"][:, None]
        values, head, n = tensors["target_values"], self.network.head, there.sum().clamp(min=1)
        loss = head.loss(out, values).masked_fill(~there, 0).sum() / n
        error = (head.expected(out) - values).detach().square().masked_fill(~there, 0).sum() / n
        return LossOutput(loss=loss, n_obs_minibatch=len(out), extra_metrics={"mse": error})

    def _decode(self, encoded: Encoded, genes: Tensor, *, observed: bool = False) -> Tensor:
        n_cells = len(encoded.lengths)
        lengths = torch.full((n_cells,), len(genes), device=genes.device)
        return self.network.decode(encoded, genes.expand(n_cells, -1), lengths, observed=observed)

    def _chunk(self) -> int:
        """Genes to decode at a time; the decoder over all genes has done the work once it is asked for one."""
        return self.network.config.n_genes if self.network.config.decoder == "linear" else 4096

    def _cast(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        dtype = self.network.encoder.gene.weight.dtype
        return {name: x.to(dtype) if x.is_floating_point() else x for name, x in batch.items()}

    def _get_inference_input(self, tensors: dict[str, Tensor], **kwargs: object) -> dict[str, dict[str, Tensor]]:
        return {"batch": tensors}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor], **kwargs: object
    ) -> dict[str, Tensor]:
        return {}
