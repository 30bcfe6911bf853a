"""Responses of one species from those of others: what needs no regression on features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

#: a condition with fewer measured genes is fitted together with all others
FEWEST_GENES = 20


@dataclass(frozen=True)
class SpeciesResponses:
    """Responses (log fold changes) over the same c conditions and g genes, NaN where not measured.

    Every method predicts some conditions: ``method(responses, conditions)`` gives their number × g values, of which
    those that the query has not measured are predictions; a gene that no reference species measured there is NaN.

    Attributes
    ----------
    query
        c × g.
    reference
        species × c × g.
    features
        What is known of the genes, g × f.
    """

    query: np.ndarray
    reference: np.ndarray
    features: np.ndarray

    def hide(self, cells: np.ndarray) -> Self:
        """Return the same without the query's values in ``cells`` (bool, c × g)."""
        return replace(self, query=np.where(cells, np.nan, self.query))

    def enough(self, condition: int) -> bool:
        """Tell whether the query measured enough genes of a condition for a fit of its own."""
        return int(np.isfinite(self.query[condition]).sum()) >= FEWEST_GENES


def mean_over(values: np.ndarray) -> np.ndarray:
    """Mean of what is measured along the first axis, NaN where nothing is."""
    measured = np.isfinite(values)
    count = measured.sum(axis=0)
    total = np.where(measured, values, 0).sum(axis=0, dtype=np.float64)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def no_transfer(responses: SpeciesResponses, conditions: np.ndarray) -> np.ndarray:
    """No gene responds."""
    return 0 * mean_over(responses.reference)[conditions]


def copy_transfer(responses: SpeciesResponses, conditions: np.ndarray) -> np.ndarray:
    """Copy the nearest species, a gene that it has not measured from the next nearest.

    The nearest is the one whose responses correlate best with the query over all that both measured; the first where
    the query has measured nothing.
    """
    order = np.argsort([-_correlation(one, responses.query) for one in responses.reference], kind="stable")
    copied = np.full(responses.query.shape, np.nan)
    for species in order:
        copied = np.where(np.isfinite(copied), copied, responses.reference[species])
    return copied[conditions]


def species_mean_transfer(responses: SpeciesResponses, conditions: np.ndarray) -> np.ndarray:
    """Mean of the species."""
    return mean_over(responses.reference)[conditions]


def affine_transfer(responses: SpeciesResponses, conditions: np.ndarray) -> np.ndarray:
    """A + b × orthologue copy, by least squares over the condition's measured genes, or else over all conditions."""
    copied = copy_transfer(responses, np.arange(len(responses.query)))
    predicted = []
    for k in conditions:
        x, y = (copied[k], responses.query[k]) if responses.enough(k) else (copied.ravel(), responses.query.ravel())
        used = np.isfinite(x) & np.isfinite(y)
        design = np.stack([np.ones(used.sum()), x[used]], axis=1)
        intercept, slope = np.linalg.lstsq(design, y[used], rcond=None)[0]
        predicted.append(intercept + slope * copied[k])
    return np.array(predicted).reshape(len(conditions), -1)


def latent_transfer(responses: SpeciesResponses, conditions: np.ndarray, *, n_components: int = 20) -> np.ndarray:
    r"""Shift the reference's response in a latent space by what sets the query apart.

    :math:`\hat y_c = V (z_c + \delta)` with :math:`\delta = \frac{1}{|M|} \sum_{k \in M} (\tilde z_k - z_k)`. V (g × q)
    holds the leading right singular vectors of all profiles of the reference species, z_k the coordinates of their mean
    response in condition k, z̃_k those of the query's, both by least squares over the genes that the query measured in k;
    M are the conditions it measured. This is z + δ_drug + δ_species of the UGE paper (Belgadi et al. 2024) in closed
    form: the response itself is δ_drug, and the control's z is 0 as responses are changes.
    """
    mean = mean_over(responses.reference)
    profiles = np.nan_to_num(np.where(np.isfinite(responses.reference), responses.reference, mean))
    _, size, basis = np.linalg.svd(profiles.reshape(-1, mean.shape[1]), full_matrices=False)
    rank = max(int((size > 1e-6 * size[0]).sum()), 1)
    V = basis[: min(n_components, rank)].T
    shifts = [np.zeros(V.shape[1])]
    for truth, of_species in zip(responses.query, mean, strict=True):
        used = np.isfinite(truth) & np.isfinite(of_species)
        if used.sum() >= FEWEST_GENES:
            gram = V[used].T @ V[used] + 1e-6 * np.eye(V.shape[1])
            shifts.append(np.linalg.solve(gram, V[used].T @ (truth - of_species)[used]))
    shift = np.sum(shifts, axis=0) / max(len(shifts) - 1, 1)
    predicted = (np.nan_to_num(mean[conditions]) @ V + shift) @ V.T
    return np.where(np.isfinite(mean[conditions]), predicted, np.nan)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    used = np.isfinite(a) & np.isfinite(b)
    x, y = a[used], b[used]
    if len(x) < 2 or not np.ptp(x) or not np.ptp(y):
        return -2.0  # below any correlation
    return float(np.corrcoef(x, y)[0, 1])
