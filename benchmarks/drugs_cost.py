"""Seconds an epoch at 978 genes × 20,000 profiles, one thread: DrugBERT beside a conditional VAE of the same width, in turns.

CPU time of the process, so that other programs on the machine count little; the median of the turns. Reading the screen is
measured apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from drugs_cvae import ConditionalVAE, one_epoch
from drugs_screens import KEYS, simulated

from scgx.model import DrugBERT
from scgx.model._drugbert_batches import screen_batches
from scgx.model._drugbert_rows import read_screen
from scgx.model._drugbert_setup import setup_of
from scgx.module import DrugBERTModule
from scgx.train import Batches, Loop, fit_batches

TURNS = 2
WIDTH = 64  # the default


def random_screen(n_genes: int, n_profiles: int) -> AnnData:
    """Noise in the form of a screen: drugs × four lines × ten doses, a control well for every hundred."""
    rng = np.random.default_rng(0)
    smiles = simulated(0).drugs["smiles"].to_numpy()
    drug, line, dose = (i.ravel() for i in np.indices((n_profiles // 40, 4, 10)))
    obs = pd.DataFrame({"drug": drug, "cell_line": line, "dose": 2.0**dose})
    obs["smiles"] = smiles[drug % len(smiles)]
    obs["drug"], obs["cell_line"] = "drug" + obs["drug"].astype(str), "line" + obs["cell_line"].astype(str)
    controls = pd.DataFrame({"drug": "control", "cell_line": [f"line{k % 4}" for k in range(n_profiles // 100)]})
    obs = pd.concat([obs, controls.assign(dose=0.0, smiles="")], ignore_index=True).assign(plate="one")
    obs["mechanism"] = np.where(obs["drug"] == "control", "", "class" + (obs.index % 10).astype(str))
    obs.index = obs.index.astype(str)
    return AnnData(rng.standard_normal((len(obs), n_genes), dtype=np.float32) + 7, obs=obs)


def run(arguments: argparse.Namespace) -> pd.DataFrame:
    """CPU seconds of one epoch of each, and of reading the screen."""
    torch.set_num_threads(1)
    n_genes, n_profiles = (100, 400) if arguments.quick else (978, 20_000)
    adata = random_screen(n_genes, n_profiles)
    DrugBERT.setup_anndata(adata, class_key="mechanism", **KEYS)
    start = time.process_time()
    screen = read_screen(adata, setup_of(adata), wells=True, seed=0)
    seconds = {"reading the screen": [time.process_time() - start]}
    model = DrugBERT(adata, width=WIDTH)
    network = model.module.network
    network.set_scale(torch.from_numpy(screen.controls), torch.from_numpy(screen.change), fresh=True)
    everything = (np.arange(len(screen.change)), np.zeros(0, dtype=int))

    def bert(tasks: tuple[str, ...], batch_size: int) -> Callable[[], None]:
        module = DrugBERTModule(network, tasks)
        options = {"batch_size": batch_size, "mask_ratio": 0.15, "seed": 0}
        batches: Batches = screen_batches(screen, network.config, everything, **options)
        return lambda: fit_batches(module, batches, Loop(1, 1e-3, 0.01, None, 0, progress=False)) and None

    bits = screen.bits.loc[screen.table["label"]].to_numpy(dtype=np.float32)
    x, condition = torch.from_numpy(screen.change), torch.from_numpy(bits)
    vae = ConditionalVAE(n_genes, bits.shape[1], WIDTH)
    optimizer = torch.optim.AdamW(vae.parameters())
    jobs = {
        "conditional VAE": lambda: one_epoch(vae, optimizer, x, condition),
        "DrugBERT, pre-training, value": bert(("value",), 128),
        "DrugBERT, pre-training, all tasks": bert(("value", "line", "class", "dose", "response"), 128),
        "DrugBERT, fine-tuning, batches of 32": bert(("response",), 32),
    }
    for _ in range(1 if arguments.quick else TURNS):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            seconds.setdefault(name, []).append(time.process_time() - start)
    title = {"dataset": f"{n_profiles} profiles of {n_genes} genes", "split": "one epoch, one thread"}
    vae_seconds = float(np.median(seconds["conditional VAE"]))
    rows = [
        {"method": name, "metric": "CPU s", "value": float(np.median(some)), "low": min(some), "high": max(some)}
        for name, some in seconds.items()
    ]
    rows += [
        {"method": name, "metric": "times the conditional VAE", "value": float(np.median(some)) / vae_seconds}
        for name, some in seconds.items()
    ]
    return pd.DataFrame([title | row for row in rows])
