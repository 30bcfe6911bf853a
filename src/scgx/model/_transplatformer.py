from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi.model.base import BaseModelClass
from torch import Tensor

from scgx._core import require_key
from scgx.model._blocks import compute_rows
from scgx.model._files import history_frames, plain_history, read_model, write_model
from scgx.model._paired import Setup, paired_rows, register
from scgx.model._training_split import rows_to_train_on, training_split
from scgx.module import TARGET, TransPlatformerConfig, TransPlatformerModule
from scgx.selection._training_rows import TrainingMode
from scgx.train import fit

if TYPE_CHECKING:
    from mudata import MuData

_SIZES = {"n_decoder_layers": 1, "slots": 512, "n_heads": 1, "softmax": "slots"}
#: what setup_mudata was told of each MuData; the user's object itself is not written to
_SETUPS: WeakKeyDictionary[MuData, Setup] = WeakKeyDictionary()


class TransPlatformer(BaseModelClass):
    """Translate profiles between panels of different genes by attention (Cong et al., BMC Bioinformatics 2026).

    Source genes, or the units of a bottleneck, are tokens; attention layers mix them, ⌈m / s⌉ concurrent decoders assign
    them to slots, and each target gene reads its slot. See :class:`scgx.nn.TransPlatformer` for formulas and shapes.

    Parameters
    ----------
    mdata
        MuData given to :meth:`setup_mudata`. The model copies the rows with a measured target.
    bottleneck
        Tokens k that a fully connected layer makes of the source genes; ``None``: each source gene is a token.
    width
        Channels r of a token.
    n_encoder_layers, n_decoder_layers
        Attention layers before the concurrent decoders, and in each of them.
    slots
        Target genes s of a decoder.
    n_heads
        Heads of each attention layer, a divisor of ``width``.
    softmax
        ``"slots"``: each token is divided among slots (the paper); ``"tokens"``: each slot averages tokens.
    seed
        Seed of the first weights.

    Examples
    --------
    >>> import scgx
    >>> mdata = scgx.datasets.simulate_platforms(n_obs=60, n_source=30, n_target=20)
    >>> scgx.model.TransPlatformer.setup_mudata(mdata, group_key="compound")
    >>> model = scgx.model.TransPlatformer(mdata, width=8)
    >>> model.train(max_epochs=2)  # doctest: +SKIP
    >>> model.translate(mdata["source"]).shape  # doctest: +SKIP
    (60, 20)
    """

    def __init__(
        self,
        mdata: MuData,
        *,
        bottleneck: int | None = 64,
        width: int = 64,
        n_encoder_layers: int = 2,
        n_decoder_layers: int = 1,
        slots: int = 512,
        n_heads: int = 1,
        softmax: Literal["slots", "tokens"] = "slots",
        seed: int = 0,
    ) -> None:
        if mdata not in _SETUPS:
            raise ValueError("`mdata` is not set up; call `TransPlatformer.setup_mudata(mdata)` first.")
        setup = _SETUPS[mdata]
        rows = paired_rows(mdata, setup)
        config = TransPlatformerConfig(
            n_source=rows.n_vars,
            n_target=len(rows.uns[TARGET]),
            bottleneck=bottleneck,
            width=width,
            n_encoder_layers=n_encoder_layers,
            n_decoder_layers=n_decoder_layers,
            slots=slots,
            n_heads=n_heads,
            softmax=softmax,
        )
        register(type(self), rows, setup)
        super().__init__(rows)
        self._describe(rows.var_names.tolist(), rows.uns[TARGET].tolist(), setup.source_layer)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module = TransPlatformerModule(config)
        self.init_params_ = self._get_init_params(locals())

    @staticmethod
    def paper_config() -> dict[str, Any]:
        """Sizes of the paper, as arguments of the class: 32 layers, r = 16, s = 512, one shared head.

        The paper does not say how its 32 layers are divided, nor how wide the bottleneck is; here 31 layers encode, one
        decodes, and the bottleneck is as wide as a decoder. It trains with Adam at 1e-3 without weight decay, 40 epochs of
        batches of 16: ``train(weight_decay=0)``.
        """
        return _SIZES | {"bottleneck": 512, "width": 16, "n_encoder_layers": 31}

    @staticmethod
    def small_config() -> dict[str, Any]:
        """Sizes that train on a CPU, as arguments of the class: its defaults."""
        return _SIZES | {"bottleneck": 64, "width": 64, "n_encoder_layers": 2}

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        source: str = "source",
        target: str = "target",
        source_layer: str | None = None,
        target_layer: str | None = None,
        group_key: str | None = None,
        tissue_key: str | None = None,
    ) -> None:
        """Say where source and target panel are; nothing is written to ``mdata``.

        Parameters
        ----------
        mdata
            Paired rows, as :func:`scgx.pp.pair` gives them. NaN stands for a value not measured.
        source, target
            Names of the modalities.
        source_layer, target_layer
            Layers to use; ``None`` means ``.X``.
        group_key
            ``.obs`` column of the source that validation must not split (compound, donor); without it the split is random.
        tissue_key
            ``.obs`` column of the source with the tissue, kept with the rows that the model trains on.

        Raises
        ------
        KeyError
            If a modality, layer or column is missing.
        ValueError
            If ``obs_names`` of the modalities differ in content or order, or names are doubled.
        """
        setup = Setup(source, target, source_layer, target_layer, group_key, tissue_key)
        setup.check(mdata)
        _SETUPS[mdata] = setup

    @classmethod
    def setup_anndata(cls, adata: AnnData, **kwargs: Any) -> NoReturn:
        """A TypeError: two panels are needed, see :meth:`setup_mudata`."""
        raise TypeError("TransPlatformer needs two panels; join them with `scgx.pp.pair` and call `setup_mudata`.")

    def train(
        self,
        max_epochs: int = 40,
        *,
        training: TrainingMode = "mixed",
        target_tissue: str | None = None,
        n_target_samples: int = 1,
        accelerator: str = "auto",
        batch_size: int = 16,
        lr: float = 1e-3,
        weight_decay: float = 1.0,
        validation_size: float = 0.1,
        early_stopping: bool = True,
        patience: int = 8,
        seed: int = 0,
        progress: bool = True,
    ) -> None:
        """Minimise the squared error over measured targets; losses of every epoch are in ``.history``.

        Parameters
        ----------
        max_epochs
            Epochs at most.
        training, target_tissue, n_target_samples
            See :class:`scgx.tl.Translator`; all but ``"mixed"`` need a ``tissue_key``, and ``"single"`` is not for one model.
        accelerator
            ``"auto"``, ``"cpu"``, ``"gpu"``, …: as in lightning.
        batch_size
            Rows a step.
        lr, weight_decay
            Of Adam with decoupled weight decay; the paper has none.
        validation_size
            Share of the groups that is left out to validate on.
        early_stopping
            Stop once ``validation_loss`` gains nothing, and keep the weights of the best epoch.
        patience
            Epochs without a better ``validation_loss`` after which training stops.
        seed
            Seed of the split and of the batches; the global generators are left as they were.
        progress
            Show a progress bar.

        Raises
        ------
        ValueError
            If there are fewer than two groups, ``validation_size`` is not between 0 and 1, or the model was loaded.
        """
        rows = rows_to_train_on(self.adata, type(self).__name__)
        train, validation = training_split(rows, training, target_tissue, n_target_samples, validation_size, seed)
        self.module.set_scale(torch.from_numpy(rows.X[train]), torch.from_numpy(rows.obsm[TARGET][train]))
        fit(
            self,
            (train, validation),
            max_epochs=max_epochs,
            accelerator=accelerator,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            patience=patience,
            seed=seed,
            progress=progress,
        )

    def translate(self, adata: AnnData) -> np.ndarray:
        """Target panel of the rows of ``adata``, n_obs × m, float32; columns are :attr:`target_genes`.

        Parameters
        ----------
        adata
            Source panel, backed or in memory; the layer named at set-up is used. Genes are found by name, in any order;
            missing ones, and NaN, count as not measured.

        Raises
        ------
        ValueError
            If the model is not trained, less than half of the genes are found, or a row has no measured gene.
        """
        return self._by_block(adata, self.module.translate)

    def get_attention(self, adata: AnnData, *, groupby: str | None = None) -> pd.DataFrame:
        """Attention that each source gene gets, with sum 1 over genes; see :meth:`scgx.nn.TransPlatformer.attention`.

        Parameters
        ----------
        adata
            Source panel, with the same errors as in :meth:`translate`.
        groupby
            ``.obs`` column (KeyError if there is none).

        Returns
        -------
        n_obs × n, or groups × n with the mean over rows; columns are :attr:`source_genes`, 0 for those ``adata`` lacks.
        """
        if groupby is not None:
            require_key(adata.obs.columns, groupby, ".obs", "groupby")
        attention = self._by_block(adata, self.module.attention)
        by_row = pd.DataFrame(attention, index=adata.obs_names, columns=self.source_genes)
        return by_row if groupby is None else by_row.groupby(adata.obs[groupby], observed=True).mean()

    def save(self, directory: str | Path) -> None:
        """Write the model as ``model.json`` and ``model.safetensors``; the data are not saved."""
        content = {
            "sizes": asdict(self.module.network.config),
            "source_genes": self.source_genes.tolist(),
            "target_genes": self.target_genes.tolist(),
            "source_layer": self._source_layer,
            "is_trained": self.is_trained,
            "history": plain_history(self.history),
        }
        write_model(Path(directory), type(self).__name__, content, self.module.state_dict())

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a model that :meth:`save` wrote, to predict with; a ValueError if it is none. Runs no code from the files."""
        content, weights = read_model(Path(directory), cls.__name__)
        model = cls.__new__(cls)
        BaseModelClass.__init__(model, registry={"field_registries": {}})
        model._describe(content["source_genes"], content["target_genes"], content["source_layer"])
        with torch.device("meta"):  # no first weights are drawn
            model.module = TransPlatformerModule(TransPlatformerConfig(**content["sizes"]))
        model.module.load_state_dict(weights, assign=True)
        model.module.eval()
        model.is_trained_ = content["is_trained"]
        model.history_ = history_frames(content["history"])
        return model

    def _describe(self, source_genes: list[str], target_genes: list[str], source_layer: str | None) -> None:
        self.source_genes, self.target_genes = np.array(source_genes, dtype=str), np.array(target_genes, dtype=str)
        self._source_layer = source_layer
        self._model_summary_string = f"TransPlatformer, {len(source_genes)} → {len(target_genes)} genes"

    def _by_block(self, adata: AnnData, compute: Callable[[Tensor], Tensor]) -> np.ndarray:
        if not self.is_trained:
            raise ValueError("this TransPlatformer is not trained; call `.train()`, or load one that is.")
        return compute_rows(adata, self._source_layer, self.source_genes, compute, self.module.device)
