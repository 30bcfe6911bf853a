from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from ._drug_library import draw_drugs, draw_mechanism, n_drawable, read_drugs
from ._two_species import draw_genes, draw_loadings

_TIMES = (1.0, 3.0, 5.0, 7.0, 14.0, 28.0)  # days
_PER_GENE = 4  # pathways that a gene belongs to, on average
_SPECIES_SHIFT = 0.3  # difference between species in how active a pathway is in an organ, of its mean


@dataclass(frozen=True)
class SimulatedReactomes:
    """Two species under the same drugs, with the truth."""

    query: AnnData
    """Samples × genes of the first species."""
    reference: AnnData
    """Samples × genes of the second species."""
    orthologs: pd.DataFrame
    """Pairs of genes by sequence: columns ``query``, ``reference`` (gene names) and ``kind``: ``"one_to_one"``,
    ``"one_to_many"``, or ``"diverged"``, where copying from the orthologue is wrong."""
    functional_map: pd.DataFrame
    """Pairs of genes by function: ``query``, ``reference``. A query gene has one partner, or both copies of it."""
    effects: dict[str, pd.DataFrame]
    """True log2 fold changes by ``"query"`` and ``"reference"``: genes × (drug, organ)."""


def simulate_reactome(
    n_genes: int = 300,
    n_organs: int = 4,
    n_drugs: int = 40,
    *,
    n_vehicles: int = 2,
    n_times: int = 2,
    n_replicates: int = 3,
    diverged: float = 0.3,
    one_to_many: float = 0.1,
    n_pathways: int = 20,
    chemistry: float = 0.8,
    confounding: float = 1.0,
    noise: float = 0.3,
    smiles: Sequence[str] | None = None,
    seed: int = 0,
) -> SimulatedReactomes:
    r"""Simulate the response of two species to the same drugs in the same organs, with the truth known.

    The log2 expression of gene :math:`g` of species :math:`s` in a sample of drug :math:`d`, organ :math:`o`, vehicle
    :math:`v` and time :math:`t` is

    .. math:: y = b_{sgo} + \sum_k c_{sovtk}\, w_{kg} + \sum_k m_{dk}\, q_{sok}\, w_{kg} + \epsilon,

    with loadings :math:`w` of a gene on pathways :math:`k` (sparse, strong and weak responders), the mechanism
    :math:`m` of a drug, which its structure predicts, the activity :math:`q > 0` of a pathway in an organ (30 %
    different between species), the organ's baseline :math:`b`, and an effect :math:`c` of vehicle and time that is
    common to a treated sample and its controls. Each drug comes in one vehicle and at one time; controls have
    ``drug == "control"``. The median over genes of the spread of the true fold changes is 0.5.

    A gene's baseline and loadings belong to its function. A diverged gene lost its function to another diverged gene:
    its sequence orthologue does something else, and another gene of the reference does what it does. A one-to-many
    gene has two similar copies in the reference.

    Parameters
    ----------
    n_genes
        Genes of the query; the reference also has the second copies.
    n_organs, n_drugs
        Every drug is given in every organ: ``n_organs`` × ``n_drugs`` conditions in each species.
    n_vehicles, n_times
        Vehicles and times (1, 3, 5, 7, 14, 28 days); a drug has one of each.
    n_replicates
        Samples of each condition, and controls of each organ, vehicle and time.
    diverged, one_to_many
        Fractions of the query's genes.
    n_pathways
        Number of pathways.
    chemistry
        Share of the variance of the mechanism that structure explains, in [0, 1].
    confounding
        Spread of the effect of vehicle and time relative to that of drugs. Without matched controls it is in every
        fold change.
    noise
        Standard deviation of a sample (log2).
    smiles
        Structures of the drugs, ``n_drugs`` SMILES; mechanisms then follow from their Morgan fingerprints (needs
        rdkit). ``None`` draws small molecules, and mechanisms follow from scaffold and substituents.
    seed
        Equal seeds give equal data.

    Returns
    -------
    ``query`` and ``reference``: float32 log2 expression in ``.X``; ``.obs``: ``drug``, ``organ``, ``vehicle``, ``time``
    (days), ``is_control``, ``species``, ``smiles`` (``""`` for controls); ``.uns["drug_features"]``: ``drug`` names and
    ``features``, drugs × features, of which the mechanism is a linear function. ``orthologs``, ``functional_map``,
    ``effects``: the truth, see :class:`SimulatedReactomes`.

    Raises
    ------
    ValueError
        If an argument is out of range, or ``smiles`` are not ``n_drugs`` valid structures.

    Examples
    --------
    >>> import scgx
    >>> simulated = scgx.datasets.simulate_reactome(n_genes=100, n_organs=2, n_drugs=10)
    >>> simulated.query.shape, simulated.reference.shape
    ((84, 100), (84, 110))
    """
    _check_sizes(n_genes, n_organs, n_drugs, n_vehicles, n_times, n_replicates, n_pathways)
    _check_shares(diverged, one_to_many, chemistry, confounding, noise)
    rng = np.random.default_rng(seed)
    structures, features = _drugs(n_drugs, smiles, rng)
    genes = draw_genes(n_genes, diverged, one_to_many, rng)
    mechanism = draw_mechanism(features, n_pathways, chemistry, rng)
    of_role = _loadings(n_pathways, n_genes, rng)
    organ_activity = rng.lognormal(0, 0.8, (n_organs, n_pathways))
    organ_level = rng.normal(8, 2, n_genes) + rng.normal(0, 1, (n_organs, n_genes))
    design = _Design(
        drugs=np.array([f"drug{i:04d}" for i in range(n_drugs)]),
        organs=np.array([f"organ{i:02d}" for i in range(n_organs)]),
        smiles=np.array(structures),
        vehicle=rng.integers(n_vehicles, size=n_drugs),
        time=rng.integers(n_times, size=n_drugs),
        n_vehicles=n_vehicles,
        n_times=n_times,
        n_replicates=n_replicates,
    )

    data, effects = {}, {}
    for species, roles in genes.roles.items():
        loadings = draw_loadings(roles, of_role, rng)
        activity = organ_activity * rng.lognormal(0, _SPECIES_SHIFT, organ_activity.shape)
        response = np.einsum("dk,ok,kg->dog", mechanism, activity, loadings, optimize=True)
        scale = 0.5 / np.median(response.std(axis=(0, 1)))
        shared = confounding * rng.standard_normal((n_organs, n_vehicles, n_times, n_pathways))
        shared = np.einsum("ovtk,ok,kg->ovtg", shared, activity, loadings, optimize=True)
        level = organ_level[:, roles] + rng.normal(0, 0.5, (n_organs, len(roles)))
        adata = design.samples(species, genes.names[species], scale * response, scale * shared, level)
        adata.X += rng.normal(0, noise, adata.shape).astype(np.float32)
        adata.uns["drug_features"] = {"drug": design.drugs, "features": features}
        data[species] = adata
        effects[species] = design.effects(genes.names[species], scale * response)
    return SimulatedReactomes(data["query"], data["reference"], genes.orthologs, genes.functional_map, effects)


@dataclass(frozen=True)
class _Design:
    """Which samples there are."""

    drugs: np.ndarray
    organs: np.ndarray
    smiles: np.ndarray
    vehicle: np.ndarray  # of each drug
    time: np.ndarray  # of each drug
    n_vehicles: int
    n_times: int
    n_replicates: int

    def samples(
        self, species: str, genes: np.ndarray, response: np.ndarray, shared: np.ndarray, level: np.ndarray
    ) -> AnnData:
        """Expression without noise: ``response`` drugs × organs × genes, ``shared`` organs × vehicles × times × genes."""
        drug, organ = (i.ravel() for i in np.indices((len(self.drugs), len(self.organs))))
        o, v, t = (i.ravel() for i in np.indices((len(self.organs), self.n_vehicles, self.n_times)))
        treated = level[organ] + shared[organ, self.vehicle[drug], self.time[drug]] + response[drug, organ]
        controls = level[o] + shared[o, v, t]
        obs = pd.DataFrame(
            {
                "drug": [*self.drugs[drug], *["control"] * len(o)],
                "organ": self.organs[np.append(organ, o)],
                "vehicle": [f"vehicle{i}" for i in np.append(self.vehicle[drug], v)],
                "time": np.array(_TIMES)[np.append(self.time[drug], t)],
                "is_control": np.repeat([False, True], [len(drug), len(o)]),
                "species": species,
                "smiles": [*self.smiles[drug], *[""] * len(o)],
            }
        )
        rows = np.repeat(np.arange(len(obs)), self.n_replicates)
        obs = obs.iloc[rows].astype(dict.fromkeys(("drug", "organ", "vehicle", "species"), "category"))
        obs.index = pd.Index([f"{species}{i:06d}" for i in range(len(obs))])
        X = np.vstack([treated, controls]).astype(np.float32)[rows]
        return AnnData(X, obs=obs, var=pd.DataFrame(index=pd.Index(genes)))

    def effects(self, genes: np.ndarray, response: np.ndarray) -> pd.DataFrame:
        """Fold changes, genes × (drug, organ)."""
        conditions = pd.MultiIndex.from_product([self.drugs, self.organs], names=["drug", "organ"])
        return pd.DataFrame(response.reshape(len(conditions), -1).T, index=pd.Index(genes), columns=conditions)


def _drugs(n_drugs: int, smiles: Sequence[str] | None, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    if smiles is None:
        if n_drugs > n_drawable():
            raise ValueError(f"n_drugs={n_drugs}, expected at most {n_drawable()} without smiles=")
        return draw_drugs(n_drugs, rng)
    if len(smiles) != n_drugs:
        raise ValueError(f"smiles has {len(smiles)} structures, n_drugs={n_drugs}; pass one a drug")
    return read_drugs(smiles)


def _loadings(n_pathways: int, n_genes: int, rng: np.random.Generator) -> np.ndarray:
    """Sparse, and no gene without a pathway."""
    member = rng.random((n_pathways, n_genes)) < _PER_GENE / n_pathways
    member[rng.integers(n_pathways, size=n_genes), np.arange(n_genes)] = True
    return member * rng.standard_normal((n_pathways, n_genes)) * rng.lognormal(0, 0.3, n_genes)


def _check_sizes(
    n_genes: int, n_organs: int, n_drugs: int, n_vehicles: int, n_times: int, n_replicates: int, n_pathways: int
) -> None:
    limits = {
        "n_genes": (n_genes, 10, None),
        "n_organs": (n_organs, 1, None),
        "n_drugs": (n_drugs, 2, None),
        "n_vehicles": (n_vehicles, 1, None),
        "n_times": (n_times, 1, len(_TIMES)),
        "n_replicates": (n_replicates, 1, None),
        "n_pathways": (n_pathways, 1, None),
    }
    for name, (size, low, high) in limits.items():
        if size < low or (high is not None and size > high):
            raise ValueError(f"{name}={size}, expected at least {low}" + (f" and at most {high}" if high else ""))


def _check_shares(diverged: float, one_to_many: float, chemistry: float, confounding: float, noise: float) -> None:
    for name, share in (("diverged", diverged), ("one_to_many", one_to_many), ("chemistry", chemistry)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}={share}, expected a fraction in [0, 1]")
    if diverged + one_to_many > 1:
        raise ValueError(f"diverged={diverged} and one_to_many={one_to_many} together are more than all genes")
    for name, spread in (("confounding", confounding), ("noise", noise)):
        if spread < 0:
            raise ValueError(f"{name}={spread}, expected 0 or more")
