"""XTrimoGene after so much processor time: what the benchmarks of its quality and of labels share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anndata as ad

from scgx.model import XTrimoGene
from scgx.train import _fit_batches

OF_TRAINING = ("mask_ratio", "batch_size", "max_epochs")


@contextmanager
def processor_clock() -> Iterator[None]:
    """``max_seconds`` counts processor time: that on the clock depends on what else the machine does."""
    with patch.object(_fit_batches, "time", SimpleNamespace(monotonic=lambda: time.process_time())):
        yield


def trained(
    adata: ad.AnnData, seconds: float, seed: int, options: dict[str, Any], *, metadata_keys: Sequence[str] = ()
) -> tuple[XTrimoGene, dict[str, Any]]:
    """A model of log values after so much processor time, start-up and validation counted, and what it took.

    The epoch in which the time runs out is finished, and the best one is kept. ``options`` are those of the model, and
    ``mask_ratio``, ``batch_size`` and ``max_epochs`` of its training.
    """
    options, started = dict(options), time.process_time()
    of_training = {"max_epochs": 1000} | {name: options.pop(name) for name in OF_TRAINING if name in options}
    XTrimoGene.setup_anndata(adata, input_scale="log1p", metadata_keys=list(metadata_keys))
    model = XTrimoGene(adata, seed=seed, **options)
    with processor_clock():
        model.train(
            accelerator="cpu",
            max_seconds=max(seconds - (time.process_time() - started), 0),
            patience=1000,  # all of the time is used
            seed=seed,
            progress=False,
            **of_training,
        )
    history = model.history["validation_mse"].iloc[:, 0]
    return model, {
        "processor_seconds": time.process_time() - started,
        "epochs": len(history),
        "parameters": sum(x.numel() for x in model.module.parameters()),
        "validation_mse": [round(float(x), 4) for x in history],
    }
