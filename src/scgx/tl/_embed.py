from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from anndata import AnnData

from scgx._core import EmbedKeys, output_object

if TYPE_CHECKING:
    from scgx.model import XTrimoGene

_CELLS_TO_SEE = 30_000
_MAX_EPOCHS = 20


def embed(
    adata: AnnData,
    *,
    model: XTrimoGene | None = None,
    pooling: Literal["mean", "max", "both"] = "mean",
    layer: str | None = None,
    input_scale: Literal["counts", "log1p"] = "counts",
    max_seconds: float = 600,
    accelerator: str = "auto",
    key_added: str = "X_xtrimogene",
    seed: int = 0,
    copy: bool = False,
) -> AnnData | None:
    """One vector a cell from the encoder of xTrimoGene (Gong et al., NeurIPS 2023), ready for ``scanpy.pp.neighbors``.

    Parameters
    ----------
    adata
        Cells, in memory or backed. Genes are found by name.
    model
        Trained :class:`scgx.model.XTrimoGene`, which only predicts. ``None``: one of size ``"small"`` is trained on ``adata``:
        until it has seen about 30,000 cells, between 1 and 20 times each, with a progress bar.
    pooling
        Over the genes that a cell expresses: ``"mean"``, ``"max"``, or ``"both"`` (twice the columns).
    layer
        Layer to use; ``None`` means ``.X``, or the layer that ``model`` was set up with.
    input_scale
        ``"counts"`` or ``"log1p"`` (of counts normalised to 10,000), where no ``model`` is given; a model knows its own.
    max_seconds
        Training stops when this time is used up. Only then does the result depend on the machine.
    accelerator
        To train on: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"mps"``.
    key_added
        Name of the result.
    seed
        Seed of the training.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    ``None``, or the copy. Sets

    ``.obsm["X_xtrimogene"]``
        float32, n_obs × width.
    ``.uns["xtrimogene"]``
        ``pooling``, ``layer`` (of ``model`` if none was named; empty for ``.X``), ``input_scale``, ``n_genes`` of the model,
        ``n_genes_found`` in ``adata``, ``trained_here``; and, if so, ``seed``, ``epochs``, ``seconds``, ``validation_mse`` (of hidden
        values, half of them zeros, by epoch) and ``stopped_by`` (``"epochs"``, ``"time"`` or ``"validation"``).

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If ``model`` is not trained, less than half of its genes are found, values do not look like ``input_scale``, or a cell
        expresses no gene.

    Notes
    -----
    With a few thousand cells a linear method is hard to beat: compare with ``scanpy.pp.pca``.

    Examples
    --------
    >>> import scanpy as sc, scgx
    >>> cells = sc.datasets.pbmc3k()
    >>> scgx.tl.embed(cells)  # doctest: +SKIP
    >>> sc.pp.neighbors(cells, use_rep="X_xtrimogene")  # doctest: +SKIP
    """
    record: dict[str, Any] = {"pooling": pooling, "trained_here": model is None}
    if model is None:
        model, training = _train(adata, layer, input_scale, max_seconds, accelerator, seed)
        record |= training
    vectors = model.get_latent_representation(adata, pooling=pooling, layer=layer)
    setup = model.input_setup
    record |= {
        "layer": layer or setup["layer"] or "",
        "input_scale": setup["input_scale"],
        "n_genes": len(model.genes),
        "n_genes_found": int(np.isin(model.genes, adata.var_names).sum()),
    }
    keys = EmbedKeys.from_key_added(key_added)
    out = output_object(adata, copy=copy)
    out.obsm[keys.obsm] = vectors
    out.uns[keys.uns] = record
    return out if copy else None


def _train(
    adata: AnnData,
    layer: str | None,
    input_scale: Literal["counts", "log1p"],
    max_seconds: float,
    accelerator: str,
    seed: int,
) -> tuple[XTrimoGene, dict[str, Any]]:
    from scgx.model import XTrimoGene

    max_epochs = int(np.clip(_CELLS_TO_SEE // max(adata.n_obs, 1), 1, _MAX_EPOCHS))
    XTrimoGene.setup_anndata(adata, layer=layer, input_scale=input_scale)
    model, started = XTrimoGene(adata, seed=seed), time.monotonic()
    model.train(max_epochs, accelerator=accelerator, batch_size=16, max_seconds=max_seconds, seed=seed)
    seconds, errors = time.monotonic() - started, model.history["validation_mse"].iloc[:, 0].to_numpy(float)
    stopped_by = "time" if seconds >= max_seconds else "epochs" if len(errors) == max_epochs else "validation"
    training = {
        "seed": seed,
        "epochs": len(errors),
        "seconds": seconds,
        "validation_mse": errors,
        "stopped_by": stopped_by,
    }
    return model, training
