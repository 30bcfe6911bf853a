from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from ._drug_classes import draw_classes
from ._drug_effects import as_cells_show, draw_effects, mean_levels
from ._drug_screen_samples import lay_out, measure_cells, measure_wells


@dataclass(frozen=True)
class SimulatedDrugScreen:
    """A bulk and a single-cell screen of drugs, with the truth."""

    bulk: AnnData
    """Wells × genes."""
    cells: AnnData
    """Single cells × genes; all its drugs are in ``bulk`` too."""
    unseen: AnnData
    """Single cells × genes of drugs that are in neither, on other plates, with controls of their own."""
    drugs: pd.DataFrame
    """A row a drug: ``smiles``, ``mechanism``, ``structural_class`` (the mechanism that the structure suggests),
    ``scaffold`` (Bemis–Murcko), ``in_bulk``, ``in_cells``, ``novel_mechanism``."""
    effects: dict[str, pd.DataFrame]
    """True change from control by ``"bulk"`` and ``"cells"``: (drug, cell_line, dose) × genes, all drugs, as the
    change of the mean of ``.X`` (natural logarithm in wells, log1p of normalised counts in cells) on a plate without
    offset."""


def simulate_drug_screen(
    n_drugs: int = 60,
    n_lines: int = 3,
    n_genes: int = 200,
    *,
    n_mechanisms: int = 8,
    doses: Sequence[float] = (0.1, 1.0, 10.0),
    n_bulk_drugs: int = 140,
    n_unseen: int = 20,
    novel_mechanisms: int = 2,
    n_cells: int = 20,
    n_plates: int = 4,
    n_replicates: int = 2,
    n_controls: int = 4,
    chemistry: float = 0.9,
    plate_noise: float = 0.3,
    noise: float = 0.3,
    smiles: Sequence[str] | None = None,
    seed: int = 0,
) -> SimulatedDrugScreen:
    r"""Simulate a drug screen in bulk and in single cells, with the truth known.

    The natural logarithm of the expression of gene :math:`g` in line :math:`l` under dose :math:`x` of drug :math:`d`
    with mechanism :math:`m` changes by

    .. math:: \delta = \frac{a_d\, x}{x + c_d}\, s_{lm} (w_{mg} + 0.3\, u_{dg}),

    with the programme :math:`w` of the mechanism (a fifth of the genes), the drug's own part :math:`u`, its strength
    :math:`a` and half-maximal dose :math:`c`, and the sensitivity :math:`s` of the line. The mechanism follows from the
    structure: molecules of one class (scaffold, or neighbourhood in fingerprints) share it, apart from the exceptions
    that ``chemistry`` allows. The novel mechanisms are the classes that are least similar to the rest.

    A well is the line's level, :math:`\delta`, an offset of the plate that its controls share, and noise. The counts of
    a cell are negative binomial (dispersion 0.3, one count a gene on average at the median depth; about 60 % are zeros).

    Parameters
    ----------
    n_drugs
        Drugs of the single-cell screen, ``n_unseen`` of them among them.
    n_lines, n_genes
        Cell lines, in all of which each drug is given, and genes.
    n_mechanisms
        Mechanisms, ``novel_mechanisms`` of them among them. At most 12 without ``smiles``.
    doses
        Doses of each drug (µM).
    n_bulk_drugs
        Drugs that are in ``bulk`` alone.
    n_unseen
        Drugs that are in neither ``bulk`` nor ``cells``: half of them (rounded down) of novel mechanisms, if there are
        any, the others of known ones.
    novel_mechanisms
        Mechanisms that no drug of ``bulk`` and ``cells`` has.
    n_cells
        Cells of each drug, line and dose; controls are five times as many on each plate.
    n_plates
        Plates of each line in bulk; the single cells of a line are on half as many (at least one).
    n_replicates
        Wells of each drug, line and dose, on different plates as far as there are enough.
    n_controls
        Control wells of a plate.
    chemistry
        Share of the known drugs whose mechanism is that of their structural class, and of a drug's own part that is
        linear in its fingerprint, in [0, 1]; the others have another known mechanism.
    plate_noise
        Standard deviation of a plate's offset (natural logarithm), in wells and in cells.
    noise
        Standard deviation of a well.
    smiles
        Structures to choose the drugs from, at best several times as many as are needed; 2,000 of a longer table are
        looked at, and molecules of equal fingerprints count as one. Classes are then neighbourhoods of the molecules with the most neighbours. ``None`` draws small
        molecules on few scaffolds.
    seed
        Equal seeds give equal data.

    Returns
    -------
    ``bulk`` (float32 in ``.X``), ``cells`` and ``unseen`` (CSR float32: log1p of counts scaled to ``n_genes`` a cell;
    ``.layers["counts"]``), each with ``.obs``: ``drug`` (``"control"`` in controls), ``smiles`` (``""`` in controls),
    ``dose`` (µM, 0 in controls), ``cell_line``, ``plate``, ``mechanism`` (``""`` in controls), ``is_control``.
    ``drugs``, ``effects``: the truth, see :class:`SimulatedDrugScreen`.

    Raises
    ------
    ValueError
        If an argument is out of range, a structure cannot be read, or the structures do not fill the mechanisms.
    ImportError
        If rdkit is not installed.

    Examples
    --------
    >>> import scgx
    >>> screen = scgx.datasets.simulate_drug_screen(n_drugs=20, n_bulk_drugs=30, n_unseen=8, n_lines=2)
    >>> screen.drugs[["in_bulk", "in_cells", "novel_mechanism"]].sum().to_dict()
    {'in_bulk': 42, 'in_cells': 12, 'novel_mechanism': 4}
    """
    doses = tuple(float(dose) for dose in doses)
    _check_sizes(n_drugs, n_lines, n_genes, n_mechanisms, n_bulk_drugs, n_cells, n_plates, n_replicates, n_controls)
    _check_novelty(n_drugs, n_mechanisms, n_unseen, novel_mechanisms)
    _check_amounts(doses, chemistry, plate_noise, noise)
    rng = np.random.default_rng(seed)
    drugs = _draw_drugs(n_drugs, n_bulk_drugs, n_mechanisms, n_unseen, novel_mechanisms, chemistry, smiles, rng)
    lines = [f"line{i}" for i in range(n_lines)]
    genes = pd.Index([f"gene{i:04d}" for i in range(n_genes)])
    level = pd.DataFrame(rng.normal(0, 1, n_genes) + rng.normal(0, 0.5, (n_lines, n_genes)), index=lines, columns=genes)
    effects = draw_effects(drugs, level, doses, n_mechanisms, chemistry, rng)

    wells = lay_out(
        drugs[drugs["in_bulk"]],
        lines,
        doses,
        "bulk",
        n_plates=n_plates,
        n_copies=n_replicates,
        n_controls=n_controls,
        n_each=1,
    )
    bulk = measure_wells(wells, mean_levels(wells, level, effects), genes, plate_noise, noise, rng)
    single = {}
    for prefix, chosen in (("cells", drugs["in_cells"]), ("unseen", ~drugs["in_bulk"])):
        obs = lay_out(
            drugs[chosen],
            lines,
            doses,
            prefix,
            n_plates=max(n_plates // 2, 1),
            n_copies=1,
            n_controls=5 * n_cells,
            n_each=n_cells,
        )
        single[prefix] = measure_cells(obs, mean_levels(obs, level, effects), genes, plate_noise, rng)
    truth = {"bulk": effects, "cells": as_cells_show(effects, level)}
    return SimulatedDrugScreen(bulk, single["cells"], single["unseen"], drugs, truth)


def _draw_drugs(
    n_drugs: int,
    n_bulk_drugs: int,
    n_mechanisms: int,
    n_unseen: int,
    novel_mechanisms: int,
    chemistry: float,
    smiles: Sequence[str] | None,
    rng: np.random.Generator,
) -> pd.DataFrame:
    n_novel = n_unseen // 2 if novel_mechanisms else 0
    drugs = draw_classes(n_drugs + n_bulk_drugs - n_novel, n_novel, n_mechanisms, novel_mechanisms, smiles, rng)
    drugs.index = pd.Index([f"drug{i:04d}" for i in range(len(drugs))], name="drug")
    known = rng.permutation(np.flatnonzero(~drugs["novel_mechanism"]))
    unseen, rest = known[: n_unseen - n_novel], known[n_unseen - n_novel :]
    mechanism = drugs["structural_class"].to_numpy(copy=True)
    # evenly spread, so that seen and unseen drugs have their share of exceptions
    exceptions = known[np.diff(np.floor(rng.random() + (1 - chemistry) * np.arange(len(known) + 1))) > 0]
    n_known = n_mechanisms - novel_mechanisms
    mechanism[exceptions] = (mechanism[exceptions] + rng.integers(1, max(n_known, 2), len(exceptions))) % n_known
    positions = np.arange(len(drugs))
    return pd.DataFrame(
        {
            "smiles": drugs["smiles"],
            "mechanism": [f"mechanism{i:02d}" for i in mechanism],
            "structural_class": [f"mechanism{i:02d}" for i in drugs["structural_class"]],
            "scaffold": drugs["scaffold"],
            "in_bulk": ~drugs["novel_mechanism"] & ~np.isin(positions, unseen),
            "in_cells": np.isin(positions, rest[: n_drugs - n_unseen]),
            "novel_mechanism": drugs["novel_mechanism"],
        },
        index=drugs.index,
    )


def _check_sizes(
    n_drugs: int,
    n_lines: int,
    n_genes: int,
    n_mechanisms: int,
    n_bulk_drugs: int,
    n_cells: int,
    n_plates: int,
    n_replicates: int,
    n_controls: int,
) -> None:
    limits = {
        "n_drugs": (n_drugs, 2),
        "n_lines": (n_lines, 1),
        "n_genes": (n_genes, 10),
        "n_mechanisms": (n_mechanisms, 1),
        "n_bulk_drugs": (n_bulk_drugs, 0),
        "n_cells": (n_cells, 1),
        "n_plates": (n_plates, 1),
        "n_replicates": (n_replicates, 1),
        "n_controls": (n_controls, 1),
    }
    for name, (size, low) in limits.items():
        if size < low:
            raise ValueError(f"{name}={size}, expected at least {low}")


def _check_novelty(n_drugs: int, n_mechanisms: int, n_unseen: int, novel_mechanisms: int) -> None:
    if not 0 <= n_unseen < n_drugs:
        raise ValueError(f"n_unseen={n_unseen}, expected at least 0 and fewer than n_drugs={n_drugs}")
    if not 0 <= novel_mechanisms < n_mechanisms:
        raise ValueError(
            f"novel_mechanisms={novel_mechanisms}, expected at least 0 and fewer than n_mechanisms={n_mechanisms}"
        )
    if novel_mechanisms > n_unseen // 2:
        raise ValueError(
            f"novel_mechanisms={novel_mechanisms}, expected at most half of n_unseen={n_unseen}: one drug each"
        )


def _check_amounts(doses: tuple[float, ...], chemistry: float, plate_noise: float, noise: float) -> None:
    if not doses or not all(np.isfinite(dose) and dose > 0 for dose in doses) or len(set(doses)) < len(doses):
        raise ValueError(f"doses={doses}, expected different positive numbers (µM)")
    if not 0 <= chemistry <= 1:
        raise ValueError(f"chemistry={chemistry}, expected a fraction in [0, 1]")
    for name, spread in (("plate_noise", plate_noise), ("noise", noise)):
        if spread < 0:
            raise ValueError(f"{name}={spread}, expected 0 or more")
