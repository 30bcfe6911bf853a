"""Label classifiers on a pre-trained encoder: a linear layer on its embedding, or the encoder fine-tuned."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.base import ClassifierMixin

from scgx._core import layer_or_x
from scgx.estimators import BaseLabelClassifier, BlockLabels, LogisticLabels, RowBlocks
from scgx.selection import make_label_classifiers

if TYPE_CHECKING:
    from scgx.model import XTrimoGene

EMBEDDING, FINE_TUNED = "embedding", "fine_tuned"
_GENES = "genes"
_LABEL = "scgx_label"
_CELLS_TO_SEE = 5000


class FineTunedLabels(BaseLabelClassifier):
    """A copy of the encoder, fine-tuned on the rows given. ``X`` is an AnnData, and the model given stays as it is.

    Parameters
    ----------
    model
        Trained encoder.
    seed
        Seed of the head and of the batches.
    """

    def __init__(self, model: XTrimoGene, seed: int = 0) -> None:
        self.model = model
        self.seed = seed

    def __sklearn_clone__(self) -> FineTunedLabels:
        # a deep copy would hold all weights, and the cells of the pre-training, once more
        return FineTunedLabels(self.model, self.seed)

    def fit(self, X: AnnData, y: np.ndarray, *, batch: np.ndarray | None = None) -> Self:
        """Fine-tune until about 5,000 cells are seen, 3 to 50 times each. See :meth:`BaseLabelClassifier.fit`."""
        cells = X.copy()
        cells.obs[_LABEL] = y
        self.model_ = copy.copy(self.model)
        self.model_.module = copy.deepcopy(self.model.module)
        epochs = int(np.clip(_CELLS_TO_SEE // len(y), 3, 50))
        self.model_.fine_tune(
            cells, label_key=_LABEL, max_epochs=epochs, validation_size=0, seed=self.seed, progress=False
        )
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: AnnData, *, batch: np.ndarray | None = None) -> np.ndarray:
        """See :meth:`BaseLabelClassifier.predict_proba`."""
        return self.model_.predict_probabilities(X).to_numpy()


def is_encoder(model: Any) -> bool:
    """Whether a model is a :class:`scgx.model.XTrimoGene`, told without importing torch."""
    return hasattr(model, "get_latent_representation") and hasattr(model, "fine_tune")


def label_candidates(
    method: str | Sequence[str] | ClassifierMixin, model: XTrimoGene | None, *, seed: int
) -> dict[str, BaseLabelClassifier]:
    """Candidates by name, simplest first; with a model each reads its block of :func:`row_blocks`.

    Raises
    ------
    ValueError
        If a method needs a model that is not there.
    """
    asked = [method] if isinstance(method, str) else method
    names = list(asked) if isinstance(asked, Sequence) else []
    learned = [name for name in (EMBEDDING, FINE_TUNED) if name in names]
    if model is None:
        if learned:
            raise ValueError(f"`method={learned[0]!r}` needs `model`, a trained scgx.model.XTrimoGene.")
        return make_label_classifiers(method, seed=seed)
    if names == ["auto"]:
        learned = [EMBEDDING, FINE_TUNED]
    if not learned:
        raise ValueError(
            f"`model` is an encoder, which `method={method!r}` does not use; ask for 'auto', {EMBEDDING!r} or "
            f"{FINE_TUNED!r}, or leave out `model`."
        )
    plain = [name for name in names if name not in learned]
    of_genes = make_label_classifiers(plain, seed=seed) if plain else {}
    candidates: dict[str, BaseLabelClassifier] = {n: BlockLabels(c, _GENES) for n, c in of_genes.items()}
    own = {EMBEDDING: LogisticLabels(seed=seed), FINE_TUNED: FineTunedLabels(model, seed)}
    return candidates | {name: BlockLabels(own[name], name) for name in learned}


def row_blocks(adata: AnnData, rows: np.ndarray, genes: Any, model: XTrimoGene) -> RowBlocks:
    """Genes, embedding (mean and largest of the tokens) and cells of some rows, for :func:`label_candidates`."""
    setup = model.input_setup
    matrix = layer_or_x(adata, setup["layer"])[rows]
    metadata = [key for key in setup["metadata_keys"] if key in adata.obs]
    cells = AnnData(matrix, obs=adata.obs[metadata].iloc[rows], var=pd.DataFrame(index=adata.var_names))
    if setup["layer"] is not None:
        cells.layers[setup["layer"]] = matrix
    embedding = model.get_latent_representation(cells, pooling="both")
    return RowBlocks({_GENES: genes, EMBEDDING: embedding, FINE_TUNED: cells})
