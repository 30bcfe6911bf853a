from __future__ import annotations

from typing import Any, Literal

import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor, nn
from torch.nn import functional as F

from scgx.nn import UGE, UGEConfig, ecs_loss, profile_similarity

#: names in a batch: values, then species, anchor and task as columns of one array, shapes, external tokens
VALUES, DESIGN, SHAPE, EXTERNAL = "X", "design", "shape", "external"
Task = Literal["pretrain", "label", "value"]
_LARGEST = 10.0
_MOST_VALUES = 1_000_000


class UGEModule(BaseModuleClass):
    """:class:`scgx.nn.UGE` with its losses.

    Parameters
    ----------
    config
        Sizes of the network.
    mask_ratio
        Share of a profile's genes that pre-training hides.
    ecs_weight
        Weight of the similarity loss beside the reconstruction.
    printed_beta
        Use the paper's sign and this one β for all pairs, see :func:`scgx.nn.ecs_loss`.
    n_outputs
        Classes (or 1) of the task head; 0: none yet.

    Notes
    -----
    Values are made *relative*: gene by gene minus the mean in its species, over the standard deviation plus the median
    of all standard deviations, so that genes that hardly vary do not become noise.
    """

    def __init__(
        self,
        config: UGEConfig,
        *,
        mask_ratio: float = 0.3,
        ecs_weight: float = 1.0,
        printed_beta: float | None = None,
        n_outputs: int = 0,
    ) -> None:
        super().__init__()
        self.network = UGE(config)
        self.mask_ratio, self.ecs_weight, self.printed_beta = mask_ratio, ecs_weight, printed_beta
        self.task: Task = "pretrain"
        self.head = nn.Linear(config.width, n_outputs) if n_outputs else None
        self.register_buffer("center", torch.full((config.n_species, config.n_genes), torch.nan))
        self.register_buffer("spread", torch.ones(config.n_species, config.n_genes))
        self.register_buffer("edges", torch.linspace(-2, 2, config.n_bins - 1))

    @property
    def options(self) -> dict[str, Any]:
        """What the module was made with besides its sizes."""
        return {name: getattr(self, name) for name in ("mask_ratio", "ecs_weight", "printed_beta")}

    def set_task(self, task: Task, n_outputs: int, *, freeze: bool, seed: int) -> None:
        """Begin another task with a fresh head; ``freeze`` leaves all else as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.head = nn.Linear(self.network.config.width, n_outputs).to(self.device)
        self.task = task
        self.network.requires_grad_(not freeze)

    def set_scale(self, x: Tensor, species: Tensor) -> None:
        """Learn centres, spreads and bins from training rows ``x`` (rows × G, NaN where not measured)."""
        for number in species.unique():
            rows = x[species == number]
            center = rows.nanmean(0)
            deviation = (rows - center).square().nanmean(0).sqrt()
            floor = deviation.nanmedian().clamp(min=1e-6)
            self.center[number] = center
            self.spread[number] = (deviation + floor).nan_to_num(nan=1.0)
        relative = self.relative(x.to(self.device), species.to(self.device))
        values = relative[torch.isfinite(relative)]
        values = values[:: len(values) // _MOST_VALUES + 1].sort().values
        at = torch.linspace(0, 1, self.network.config.n_bins + 1, device=values.device)[1:-1] * (len(values) - 1)
        self.edges.copy_(values[at.long()])

    @torch.no_grad()
    def place_genes(self, x: Tensor, species: Tensor) -> None:
        """First embeddings of the genes of one species only, from those that species share; call :meth:`set_scale` before.

        Such a gene starts at Σ_t r_gt e_t, the embeddings of the shared genes weighted by how they vary together with it
        over the training rows ``x`` (rows × G), brought to the length of the others. Genes of two species that vary
        like the same shared genes so start close to each other.
        """
        weight, relative = self.network.gene.weight, self.relative(x.to(self.device), species.to(self.device))
        known = torch.isfinite(self.center)
        shared = known.sum(0) > 1
        if not shared.any():
            return
        for number in range(len(known)):
            values, own = relative[species == number].nan_to_num(), known[number] & ~shared
            placed = values[:, own].T @ (values[:, shared] @ weight[shared])
            weight[own] = F.normalize(placed, dim=1) * weight[shared].norm(dim=1).mean()

    def relative(self, x: Tensor, species: Tensor) -> Tensor:
        """Relative values, rows × G, NaN where not measured."""
        return ((x - self.center[species]) / self.spread[species]).clamp(-_LARGEST, _LARGEST)

    def latent(self, x: Tensor, species: Tensor, external: Tensor | None = None) -> Tensor:
        """Latent vectors h of values ``x`` (rows × G), rows × d."""
        relative = self.relative(x, species)
        return self._encode(relative, torch.zeros_like(relative, dtype=torch.bool), species, external)["h"]

    def decode(self, h: Tensor, species: int) -> Tensor:
        """Values minus the species' mean, rows × G, of latent vectors ``h``."""
        return self.network.decode(h) * self.spread[species]

    def inference(self, x: Tensor, species: Tensor, external: Tensor | None) -> dict[str, Tensor]:
        """Latent vectors, and for pre-training what was hidden and the values of the tokens."""
        relative = self.relative(x, species)
        hidden = torch.zeros_like(relative, dtype=torch.bool)
        if self.task == "pretrain":
            hidden = (self._noise(relative) < self.mask_ratio) & torch.isfinite(relative)
        return self._encode(relative, hidden, species, external) | {"relative": relative, "hidden": hidden}

    def generative(self) -> dict[str, Tensor]:
        """Nothing: the network is no generative model."""
        return {}

    def loss(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor], generative_outputs: dict[str, Tensor]
    ) -> LossOutput:
        """Reconstruction of hidden values + similarity loss; or the loss of the task."""
        design, out = tensors[DESIGN], inference_outputs
        if self.task == "pretrain":
            by_row = self._reconstruction(out)
            if self.printed_beta is None:
                ecs = ecs_loss(out["h"], profile_similarity(out["relative"], tensors[SHAPE], design[:, 1]))
            else:
                ecs = ecs_loss(out["h"], self.printed_beta, printed=True)
            return LossOutput(loss=by_row.mean() + self.ecs_weight * ecs, reconstruction_loss=by_row)
        predicted, target = self.predict(out["h"]), design[:, 2]
        if self.task == "label":
            by_row = F.cross_entropy(predicted, target.long(), reduction="none")
        else:
            by_row = (predicted[:, 0] - target).square()
        return LossOutput(loss=by_row.mean(), reconstruction_loss=by_row)

    def predict(self, h: Tensor) -> Tensor:
        """Output of the task head, rows × classes."""
        if self.head is None:
            raise ValueError("the model has no task; call `.fine_tune()` first.")
        return self.head(h)

    def _reconstruction(self, out: dict[str, Tensor]) -> Tensor:
        """Squared error over hidden genes, of the decoder and of their tokens; a row's mean."""
        target, hidden = out["relative"].nan_to_num(), out["hidden"]
        decoded = (self.network.decode(out["h"]) - target).square() * hidden
        of_token = hidden.gather(1, out["tokens"])
        value = self.network.token_head(out["token_outputs"])[..., 0]
        tokens = (value - target.gather(1, out["tokens"])).square() * of_token
        return decoded.sum(1) / hidden.sum(1).clamp(min=1) + tokens.sum(1) / of_token.sum(1).clamp(min=1)

    def _encode(self, relative: Tensor, hidden: Tensor, species: Tensor, external: Tensor | None) -> dict[str, Tensor]:
        measured = torch.isfinite(relative)
        tokens = self._choose(measured, species)
        bins = torch.bucketize(relative.nan_to_num().gather(1, tokens).contiguous(), self.edges)
        bins = bins.masked_fill(hidden.gather(1, tokens), self.network.config.n_bins)
        visible = relative.nan_to_num().masked_fill(hidden, 0.0)
        if external is not None:
            external = external.long().gather(1, tokens)
        padding = ~measured.gather(1, tokens)
        h, outputs = self.network(visible, species, tokens, bins, padding, external)
        return {"h": h, "token_outputs": outputs, "tokens": tokens}

    def _choose(self, measured: Tensor, species: Tensor) -> Tensor:
        """Tokens of each row: the most variable genes; in training drawn in proportion to their variance."""
        score = 2 * self.spread[species].log()
        if self.training:
            score = score - torch.log(
                -torch.log(torch.rand_like(score).clamp(1e-7, 1 - 1e-7))
            )  # Gumbel: top k is a draw
        n_tokens = min(self.network.config.n_tokens, measured.shape[1])
        return score.masked_fill(~measured, -torch.inf).topk(n_tokens, dim=1).indices

    def _noise(self, x: Tensor) -> Tensor:
        """Uniform numbers; outside training always the same ones, so that losses of epochs can be compared."""
        if self.training:
            return torch.rand_like(x)
        generator = torch.Generator().manual_seed(0)
        return torch.rand(x.shape, generator=generator).to(x)

    def _get_inference_input(self, tensors: dict[str, Tensor], full_forward_pass: bool = True) -> dict[str, Any]:
        external = tensors.get(EXTERNAL) if self.network.config.n_external else None
        return {"x": tensors[VALUES], "species": tensors[DESIGN][:, 0].long(), "external": external}

    def _get_generative_input(
        self, tensors: dict[str, Tensor], inference_outputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        return {}
