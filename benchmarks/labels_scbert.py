"""scBERT in form (Yang et al. 2022), small: all genes are tokens, values are bins, linear attention, a head over all genes."""

from __future__ import annotations

import time
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.estimators import BaseLabelClassifier
from scgx.model._xtrimogene_cells import Cells, gene_loadings
from scgx.nn._xtrimogene_linear_attention import LinearLayer

WIDTH, LAYERS, HEADS = 96, 2, 6  # as the encoder of size "small"
BINS, HIDDEN, RATE, BATCH = 6, 0.15, 1e-3, 16


def bins(X: Any) -> Tensor:
    """log2(1 + counts per 10,000), rounded down, at most 5; from natural logarithms."""
    return torch.from_numpy(np.floor(X.toarray() / np.log(2)).clip(0, BINS - 1).astype(np.int64))


class GeneTokens(nn.Module):
    """Gene embedding (its start: loadings of principal components, for gene2vec) + bin embedding, Performer layers."""

    def __init__(self, loadings: np.ndarray) -> None:
        super().__init__()
        self.gene = nn.Parameter(0.5 * WIDTH**-0.5 * torch.randn(len(loadings), WIDTH))
        self.gene.data[:, : loadings.shape[1]] += torch.from_numpy(loadings)
        self.bin = nn.Embedding(BINS + 1, WIDTH)  # the last one is the mask
        self.layers = nn.ModuleList(LinearLayer(WIDTH, HEADS) for _ in range(LAYERS))
        self.norm, self.of_bin = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, BINS)

    def forward(self, values: Tensor) -> Tensor:
        """Tokens, cells × genes × width."""
        x = self.gene + self.bin(values)
        for layer in self.layers:
            x = layer(x, torch.full((len(x),), x.shape[1]))
        return self.norm(x)


class Head(nn.Module):
    """Labels from all tokens: one number a gene, then a perceptron of 512 and 100 units, as scBERT has it."""

    def __init__(self, n_genes: int, n_labels: int) -> None:
        super().__init__()
        self.number = nn.Linear(WIDTH, 1)
        units = (n_genes, 512, 100)
        hidden = (part for a, b in zip(units, units[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU()))
        self.perceptron = nn.Sequential(nn.ReLU(), *hidden, nn.Linear(100, n_labels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        return self.perceptron(self.number(tokens)[..., 0])


def steps(parameters: list[Tensor], loss: Any, n: int, seconds: float, generator: torch.Generator) -> int:
    """Adam on batches of 16 random rows until the processor time is used; how many rows were seen."""
    optimizer, started, seen = torch.optim.AdamW(parameters, lr=RATE), time.process_time(), 0
    while time.process_time() - started < seconds:
        for rows in torch.randperm(n, generator=generator).split(BATCH):
            optimizer.param_groups[0]["lr"] = RATE * min(1.0, (seen + 1) / min(n, 1000))
            optimizer.zero_grad()
            loss(rows).backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            seen += len(rows)
            if time.process_time() - started >= seconds:
                break
    return seen


def pretrain(X: sparse.csr_matrix, seconds: float, seed: int = 0) -> tuple[GeneTokens, dict[str, float]]:
    """Hide 15 % of the non-zero values and tell their bins."""
    generator, values = torch.Generator().manual_seed(seed), bins(X)
    cells = Cells(X, np.arange(X.shape[1]), "log1p", np.zeros((X.shape[0], 0), dtype=np.int64))
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        tokens = GeneTokens(gene_loadings(cells, np.arange(X.shape[0]), X.shape[1], WIDTH, seed))

    def loss(rows: Tensor) -> Tensor:
        true = values[rows]
        hidden = (torch.rand(true.shape, generator=generator) < HIDDEN) & (true > 0)
        return F.cross_entropy(tokens.of_bin(tokens(true.masked_fill(hidden, BINS))[hidden]), true[hidden])

    seen = steps(list(tokens.parameters()), loss, len(values), seconds, generator)
    return tokens, {"processor_seconds": seconds, "epochs": seen / len(values)}


class ScBertLabels(BaseLabelClassifier):
    """A copy of pre-trained tokens with a new head, both trained for so much processor time; CSR of log values."""

    def __init__(self, tokens: GeneTokens, seconds: float, seed: int = 0) -> None:
        self.tokens = tokens
        self.seconds = seconds
        self.seed = seed

    def fit(self, X: Any, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Fine-tune. See :meth:`BaseLabelClassifier.fit`."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        generator, values, label = torch.Generator().manual_seed(self.seed), bins(X), torch.from_numpy(labels)
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(self.seed)
            tokens, head = GeneTokens(np.zeros((X.shape[1], 0), np.float32)), Head(X.shape[1], len(self.classes_))
        tokens.load_state_dict(self.tokens.state_dict())
        self.network_ = nn.Sequential(tokens, head)

        def loss(rows: Tensor) -> Tensor:
            return F.cross_entropy(self.network_(values[rows]), label[rows])

        seen = steps(list(self.network_.parameters()), loss, len(values), self.seconds, generator)
        self.epochs_ = seen / len(values)
        return self

    @torch.inference_mode()
    def predict_proba(self, X: Any, *, batch: np.ndarray | None = None) -> np.ndarray:
        """See :meth:`BaseLabelClassifier.predict_proba`."""
        return torch.cat([self.network_(part) for part in bins(X).split(64)]).softmax(1).numpy()
