from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scvi.model.base import BaseModelClass

from scgx._core import match_genes
from scgx.model._drugbert_predict import latent_vectors, predict_cells
from scgx.model._drugbert_setup import DrugBERTSetup, ScreenSetup, setup_of, vocabulary_of
from scgx.model._drugbert_stages import DrugBERTStages
from scgx.model._files import history_frames, plain_history, read_model, write_model
from scgx.module import DrugBERT as Network
from scgx.module import DrugBERTConfig, DrugBERTModule, ResponseDecoder, Tokens


class DrugBERT(DrugBERTSetup, DrugBERTStages, BaseModelClass):
    """Predict what a drug does to the cells of a line, from bulk responses and single cells (Tan, Wang and Zhang, in form).

    Pre-training on changes in bulk (well less matched controls): hidden genes, cell line, class and dose are told from a
    profile, and, beyond the paper, the whole response from control, fingerprint, line and dose, with the decoder
    that fine-tuning goes on with. So what bulk says of a drug, and of drugs of like structure, is there before the first
    single cell. Fine-tuning learns changes of single cells from a control cell and the condition. See
    :class:`scgx.nn.DrugBERT` for formulas and ``docs/drugbert.md`` for what was measured; compare with
    :func:`scgx.bm.perturb` before trusting it.

    Parameters
    ----------
    adata
        Screen given to :meth:`setup_anndata`: its genes, cell lines and classes are those of the model. It is read when the
        model is trained on it.
    width, depth, n_heads
        Channels, layers of the encoder, and heads that channels are divided among.
    tokens
        ``"profile"``: one vector a profile, projected from all genes (the paper). ``"genes"``: a token a gene, far slower.
    decoder
        ``"mlp"``: as good as the others here and several times faster. ``"attention"``: each gene reads what was encoded.
        ``"lstm"``: the paper's, in the alphabetical order of the genes; slow.
    dropout
        In the layers, and of fingerprint bits.
    seed
        Seed of the first weights.

    Notes
    -----
    The variants of the paper: **BERT** is ``DrugBERT(cells)`` and :meth:`fine_tune` alone; **transfer** is pre-trained on
    the wells of the drugs and lines of the single-cell screen, ``DrugBERT(bulk[chosen].copy())``; **whole** on all of
    bulk with ``pretrain(tasks=["value"])``; **subset** on a part of it with
    ``pretrain(tasks=["value", "line", "class", "dose"])``. Each with ``decoder="lstm"``, or ``"mlp"`` for its Table 3.

    Examples
    --------
    >>> import scgx
    >>> DrugBERT = scgx.model.DrugBERT
    >>> keys = {"perturbation_key": "drug", "control": "control", "context_key": "cell_line", "dose_key": "dose"}
    >>> keys |= {"smiles_key": "smiles", "design_keys": ["plate"]}
    >>> DrugBERT.setup_anndata(bulk, class_key="mechanism", **keys)  # doctest: +SKIP
    >>> model = DrugBERT(bulk)  # doctest: +SKIP
    >>> model.pretrain()  # doctest: +SKIP
    >>> DrugBERT.setup_anndata(cells, **keys)  # doctest: +SKIP
    >>> model.fine_tune(cells)  # doctest: +SKIP
    >>> asked = pd.DataFrame({"drug": ["new"], "smiles": ["CC(=O)Oc1ccccc1C(=O)O"], "dose": [1.0]})  # doctest: +SKIP
    >>> predicted = model.predict(cells, asked)  # doctest: +SKIP
    """

    #: scvi-tools wants a method of this name
    train = DrugBERTStages.pretrain

    def __init__(
        self,
        adata: AnnData,
        *,
        width: int = 64,
        depth: int = 1,
        n_heads: int = 4,
        tokens: Tokens = "profile",
        decoder: ResponseDecoder = "mlp",
        dropout: float = 0.3,
        seed: int = 0,
    ) -> None:
        self._setup = setup_of(adata, "adata")
        self._source: AnnData | None = adata
        self.genes, lines, classes = vocabulary_of(adata, self._setup)
        config = DrugBERTConfig(
            n_genes=len(self.genes),
            lines=lines,
            classes=classes,
            width=width,
            depth=depth,
            n_heads=n_heads,
            tokens=tokens,
            decoder=decoder,
            dropout=dropout,
        )
        BaseModelClass.__init__(self, registry={"field_registries": {}})
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.module = DrugBERTModule(Network(config), ("response",))
        self._drugs = pd.DataFrame(dtype=np.uint8)
        self._usual = np.zeros(len(self.genes))
        self._mean_change = pd.DataFrame(np.zeros((len(lines), len(self.genes)), dtype=np.float32), index=list(lines))
        self._residuals = pd.DataFrame(np.zeros((0, len(self.genes)), dtype=np.float32))
        self.pretraining: pd.DataFrame | None = None
        self._describe()
        self.init_params_ = self._get_init_params(locals())

    def predict(self, query: AnnData, conditions: pd.DataFrame | Sequence[str], *, interval: float = 0.9) -> AnnData:
        """Control cells of ``query`` under each condition, the control cells themselves among them.

        Parameters
        ----------
        query
            Cells in the unit of the screen last trained on, with its columns. Its control cells are those with
            ``control`` in the column of drugs, all where there is no such column; others are left out. Genes are found by name.
        conditions
            Drugs, or a frame with a column of them named like ``perturbation_key``, with columns named like ``context_key``
            (else each is predicted in every line of the control cells), ``dose_key`` (needed where the model has one) and
            ``smiles_key`` (needed for drugs that the model was not trained on).
        interval
            Probability with which the interval of a change holds a new measurement.

        Returns
        -------
        As :meth:`scgx.tl.PerturbationPredictor.predict`: cells × genes of ``query`` in its order, float32, control cells,
        then for each condition the control cells with the predicted change. ``.uns["perturbation_predicted"]`` has for each
        condition ``change`` (k × genes; mean over 16 control cells that the network read), ``mean_change`` (k × genes; of the
        screen last trained on in this line, or in all where it lacks the line: the baseline), ``context``, ``dose``, ``novel``
        (the name of the drug if no response to it was trained on, else empty), ``novelty`` (1 − largest Tanimoto
        similarity to a drug whose response was), ``half_width`` (k × genes) of the ``interval``, its ``coverage`` (of each
        held-out drug by the widths of the others), ``n_held_out`` (rows that the widths are from), and ``genes``,
        ``genes_left_out``, ``overlap``, as there.

        Raises
        ------
        KeyError
            If a column is missing, or a cell line, or a drug without SMILES, is unknown; the message has the nearest.
        ValueError
            If the model has learned no responses, less than half of the genes are found, there are no control cells, a dose is
            not positive, a SMILES cannot be read, a condition is the control or doubled, or ``interval`` does not lie
            between 0 and 1.

        Notes
        -----
        Half-widths are conformal: errors on the drugs that were held out of the last training, the same for all conditions. They
        are those of a drug new to these cells, too wide for one that was not, and too narrow for one that bulk lacks if bulk had
        those held out. The number of epochs was chosen on these drugs, and their
        changes are taken against the controls that training saw: both flatter a little. Conditions of one drug are alike, so
        few held-out drugs make a rough width. It is infinite where nothing was held out (``validation_size=0``) or too few
        conditions (9 for 0.9).
        """
        if not len(self._drugs):
            raise ValueError(
                "this DrugBERT has learned no responses; call `.fine_tune(cells)`, or `.pretrain()` with the task 'response'."
            )
        return predict_cells(self, query, conditions, interval)

    def get_latent_representation(self, adata: AnnData) -> np.ndarray:
        """Latent vector of each row's change from the mean of its matched controls, n × width, float32.

        Parameters
        ----------
        adata
            Wells or cells in the unit of the screen last trained on, with its columns of drugs, lines and design. Genes are found
            by name; those that it lacks are read as hidden.
        """
        return latent_vectors(self, adata)

    def response_network(self, genes: Sequence[str]) -> Network:
        """The network for these genes in this order, to be a start of :class:`scgx.estimators.DrugBERT`.

        Genes that the model lacks start from random weights; it must know at least half of them.
        """
        order = pd.Index(genes)
        match_genes(pd.Index(self.genes), order, what="the genes of the model")
        config = self.module.network.config
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            place = pd.Index(self.genes).get_indexer(order)
            return self.module.network.rearranged(place, config.lines, config.classes)

    def save(self, directory: str | Path) -> None:
        """Write the model as ``model.json`` and ``model.safetensors``.

        Of the data these hold fingerprints, the mean control profile, the mean change in each line, and errors on held-out drugs.
        """
        content = {
            "config": asdict(self.module.network.config),
            "genes": self.genes.tolist(),
            "setup": self._setup.to_plain(),
            "drugs": self._drugs.index.tolist(),
            "held_out": self._residuals.index.tolist(),
            "tasks": list(self.module.tasks),
            "is_trained": self.is_trained,
            "pretraining": None if self.pretraining is None else self.pretraining.to_dict("tight"),
            "history": plain_history(self.history),
        }
        bits = self._drugs.to_numpy(dtype=np.uint8)
        extra = {
            "usual": torch.from_numpy(self._usual),
            "drug_bits": torch.from_numpy(bits),
            "mean_change": torch.from_numpy(self._mean_change.to_numpy(dtype=np.float32)),
            "residuals": torch.from_numpy(self._residuals.to_numpy(dtype=np.float32)),
        }
        write_model(Path(directory), type(self).__name__, content, self.module.state_dict() | extra)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read a model that :meth:`save` wrote, to predict with or to train on; a ValueError if it is none. Runs no code from the files."""
        content, weights = read_model(Path(directory), cls.__name__)
        model = cls.__new__(cls)
        BaseModelClass.__init__(model, registry={"field_registries": {}})
        model._setup, model._source = ScreenSetup.read(content["setup"]), None
        model.genes, model._usual = np.array(content["genes"], dtype=str), weights.pop("usual").numpy()
        model._drugs = pd.DataFrame(weights.pop("drug_bits").numpy(), index=content["drugs"])
        model._residuals = pd.DataFrame(weights.pop("residuals").numpy(), index=content["held_out"])
        model._mean_change = pd.DataFrame(weights.pop("mean_change").numpy(), index=content["config"]["lines"])
        config = content["config"] | {name: tuple(content["config"][name]) for name in ("lines", "classes")}
        with torch.random.fork_rng(devices=[]):
            model.module = DrugBERTModule(Network(DrugBERTConfig(**config)), content["tasks"])
        model.module.load_state_dict(weights)
        model.module.eval()
        table = content["pretraining"]
        model.pretraining = None if table is None else pd.DataFrame.from_dict(table, orient="tight")
        model.is_trained_ = content["is_trained"]
        model.history_ = history_frames(content["history"])
        model._describe()
        return model

    def _describe(self) -> None:
        self._model_summary_string = (
            f"DrugBERT, {len(self.genes)} genes, {len(self.module.network.config.lines)} cell lines, responses to "
            f"{len(self._drugs)} drugs"
        )
