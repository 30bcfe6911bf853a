"""Hidden values of cells, and what predicts them without a network."""

from __future__ import annotations

from dataclasses import dataclass

import anndata as ad
import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import Ridge

from scgx.model._xtrimogene_cells import Cells
from scgx.nn import biased_mask

ALPHAS = np.array([1, 3, 10, 30, 100, 300, 1000.0])


@dataclass(frozen=True)
class Hidden:
    """Scored positions as flat arrays."""

    cell: np.ndarray
    gene: np.ndarray
    value: np.ndarray


def cells_of(adata: ad.AnnData) -> Cells:
    return Cells(adata.X, np.arange(adata.n_vars), "log1p", np.zeros((adata.n_obs, 0), dtype=np.int64))


def hide(adata: ad.AnnData, seed: int) -> dict[str, torch.Tensor]:
    batch = cells_of(adata).read(np.arange(adata.n_obs)).batch()
    return biased_mask(batch, adata.n_vars, generator=torch.Generator().manual_seed(seed))


def flat(hidden: dict[str, torch.Tensor]) -> Hidden:
    there = torch.arange(hidden["target_genes"].shape[1]) < hidden["target_lengths"][:, None]
    cell = there.nonzero()[:, 0].numpy()
    return Hidden(cell, hidden["target_genes"][there].numpy(), hidden["target_values"][there].numpy())


def visible(hidden: dict[str, torch.Tensor], n_genes: int) -> sparse.csr_matrix:
    there = (torch.arange(hidden["genes"].shape[1]) < hidden["lengths"][:, None]).numpy()
    start = np.concatenate([[0], np.cumsum(hidden["lengths"].numpy())])
    data = (hidden["values"].numpy()[there], hidden["genes"].numpy()[there], start)
    return sparse.csr_matrix(data, shape=(len(there), n_genes))


class Simple:
    """Predictors from training cells, hidden again and again as the scored ones are."""

    def __init__(self, train: ad.AnnData, *, draws: int = 10, seed: int = 0) -> None:
        p = train.n_vars
        masked = [hide(train, seed + draw) for draw in range(draws)]
        seen = [visible(hidden, p) for hidden in masked]
        targets = [flat(hidden) for hidden in masked]
        gene, value = (np.concatenate([getattr(t, name) for t in targets]) for name in ("gene", "value"))
        self.train_mean = np.asarray(train.X.mean(0)).ravel()
        self.constant = _means(gene, value, p, prior=float(value.mean()))
        present = value > 0
        self.value = _means(gene[present], value[present], p, prior=float(value[present].mean()))
        self.share = _means(gene, present.astype(float), p, prior=0.5)
        self.svd = TruncatedSVD(min(50, p - 1), random_state=seed).fit(seen[0])
        self.full, self.slope = self._fit_full(train, seen[0], targets[0])
        scores = [self.svd.transform(x) for x in seen]
        self.center, self.scale = np.mean(scores[0], 0), np.std(scores[0], 0)
        features = [self.features(x) for x in seen]
        self.ridge = {
            (depth, only): _ridge(features, targets, self._start(only), self.value if only else None, depth, p)
            for depth in (False, True)
            for only in (False, True)
        }

    def _fit_full(self, train: ad.AnnData, seen: sparse.csr_matrix, at: Hidden) -> tuple[Ridge, float]:
        """Ridge from the scores of whole cells to all their values; a slope takes its deviations to hidden positions."""
        ridge = Ridge(1000.0).fit(self.svd.transform(train.X), train.X.toarray())
        deviation = (ridge.predict(self.svd.transform(seen)) - self.train_mean)[at.cell, at.gene]
        rest = at.value - self.constant[at.gene]
        return ridge, float(deviation @ rest / (deviation @ deviation))

    def _start(self, only_expressed: bool) -> np.ndarray:
        return self.value if only_expressed else self.constant

    def features(self, seen: sparse.csr_matrix) -> np.ndarray:
        """Constant, SVD scores, and the cell's mean deviation from the genes' non-zero means."""
        scores = (self.svd.transform(seen) - self.center) / self.scale
        return np.column_stack([np.ones(seen.shape[0]), scores, self.offset(seen)])

    def offset(self, seen: sparse.csr_matrix) -> np.ndarray:
        deviation = seen.data - self.value[seen.indices]
        rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
        return np.bincount(rows, deviation, seen.shape[0]) / np.diff(seen.indptr).clip(min=1)

    def predict(self, hidden: dict[str, torch.Tensor]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Expected value, and value if expressed, at each scored position."""
        at, seen = flat(hidden), visible(hidden, len(self.value))
        features = self.features(seen)
        value = self.value[at.gene] + features[:, -1][at.cell]
        rows = {
            "training mean": (self.train_mean[at.gene], self.train_mean[at.gene]),
            "gene constant": (self.constant[at.gene], self.value[at.gene]),
            "non-zero mean + cell offset": (self.share[at.gene] * value, value),
        }
        deviation = (self.full.predict(self.svd.transform(seen)) - self.train_mean)[at.cell, at.gene]
        full = self.constant[at.gene] + self.slope * deviation
        rows["SVD-50 + ridge"] = (full, full)
        hidden_names = {False: "SVD-50 + ridge on hidden values", True: "SVD-50, cell offset + ridge on hidden values"}
        for depth, name in hidden_names.items():
            x = features if depth else features[:, :-1]
            expected, given = (
                self._start(only)[at.gene] + np.einsum("nd,nd->n", x[at.cell], self.ridge[depth, only][at.gene])
                for only in (False, True)
            )
            rows[name] = (expected, given)
        return rows


def _means(gene: np.ndarray, value: np.ndarray, p: int, *, prior: float) -> np.ndarray:
    return (np.bincount(gene, value, p) + prior) / (np.bincount(gene, minlength=p) + 1)


def _ridge(
    features: list[np.ndarray],
    targets: list[Hidden],
    start: np.ndarray,
    only: np.ndarray | None,
    depth: bool,
    p: int,
) -> np.ndarray:
    """Ridge of each gene on what is left of its mean; one penalty for all genes, chosen on every fifth training cell."""
    held_out = np.arange(len(features[0])) % 5 == 0
    d = features[0].shape[1] - (not depth)
    gram, cross, check = np.zeros((2, p, d, d)), np.zeros((2, p, d)), []
    for x, at in zip(features, targets, strict=True):
        keep = at.value > 0 if only is not None else np.ones(len(at.value), dtype=bool)
        cell, gene, rest = at.cell[keep], at.gene[keep], at.value[keep] - start[at.gene[keep]]
        for part, chosen in enumerate((~held_out[cell], held_out[cell])):
            order = np.argsort(gene[chosen], kind="stable")
            rows, y, genes = x[cell[chosen][order], :d], rest[chosen][order], gene[chosen][order]
            ends = np.searchsorted(genes, np.arange(p + 1))
            for g in np.flatnonzero(np.diff(ends)):
                z = rows[ends[g] : ends[g + 1]]
                gram[part, g] += z.T @ z
                cross[part, g] += z.T @ y[ends[g] : ends[g + 1]]
            if part:
                check.append((rows, y, genes))
    errors = []
    for alpha in ALPHAS * len(features):
        weight = np.linalg.solve(gram[0] + alpha * np.eye(d), cross[0][..., None])[..., 0]
        errors.append(sum(float(((np.einsum("nd,nd->n", x, weight[g]) - y) ** 2).sum()) for x, y, g in check))
    alpha = ALPHAS[int(np.argmin(errors))] * len(features)
    return np.linalg.solve(gram.sum(0) + alpha * np.eye(d), cross.sum(0)[..., None])[..., 0]
