from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.base import clone
from tqdm import tqdm

from scgx._core.perturbation_cells import PerturbationColumns
from scgx.bm._perturb_folds import Fold, perturbation_folds
from scgx.bm._perturb_scores import CellSpace, Scores, make_sides, other_replicate, score, split_half
from scgx.bm._perturb_study import Study, read_study
from scgx.estimators import BaseResponse, Conditions
from scgx.metrics import average, gap_closed
from scgx.selection import RESPONSE_BASELINES, RESPONSES, make_responses, possible_responses

if TYPE_CHECKING:
    from sklearn.model_selection import BaseCrossValidator

Methods = str | Sequence[str | BaseResponse] | Mapping[str, str | BaseResponse]

_STRATA = ("weak", "medium", "strong")
_SHUFFLED = "shuffled_pairs"
#: in the order in which they are preferred: a half is noisier than a replicate
_CEILINGS = ("other_replicate", "split_half")
_PER_GROUP = ("squared_error", "reference_squared_error")
_GROUP_MEANS = ("pearson_delta", "pearson_delta_top20", "mse_top20")


def perturb(
    adata: AnnData,
    *,
    perturbation_key: str,
    control: str,
    context_key: str | None = None,
    group_key: str | None = None,
    dose_key: str | None = None,
    smiles_key: str | None = None,
    replicate_key: str | None = None,
    design_keys: Sequence[str] = (),
    separator: str | None = None,
    split: str | BaseCrossValidator = "perturbation",
    methods: Methods | None = None,
    features: pd.DataFrame | None = None,
    layer: str | None = None,
    n_folds: int = 5,
    n_divisions: int = 40,
    dataset: str = "data",
    seed: int = 0,
) -> pd.DataFrame:
    """Benchmark predictions of perturbation responses, all baselines and the replicate ceiling beside them.

    The unit is a condition: what was applied × context × design × dose, its response the change of the mean profile. In
    each of ``n_divisions`` random divisions the control cells of a context are halved: measured changes are taken against
    one half, everything that predicts sees the other half only; scores are averaged over divisions.

    Parameters
    ----------
    adata
        Cells, or wells of a bulk screen; log-normalised expression. Held as a dense matrix.
    perturbation_key, control
        ``.obs`` column that names what was applied, and its value for control cells.
    context_key
        ``.obs`` column with cell type, line or tissue. Controls are matched by it.
    group_key
        ``.obs`` column that must not be on both sides, for ``split="group"`` or a splitter of your own.
    dose_key
        ``.obs`` column with positive doses.
    smiles_key
        ``.obs`` column with SMILES, for ``split="scaffold"``; Morgan fingerprints of them are the ``features`` if there
        are no others. Needs rdkit.
    replicate_key
        ``.obs`` column with donor or replicate, for a ceiling of replicates.
    design_keys
        ``.obs`` columns of the design: plate, vehicle, time. Controls are matched by them, and their means are a
        baseline.
    separator
        What stands between names applied together, such as ``"+"`` in ``"KLF1+MAP2K6"``; ``None``: a name is a name.
    split
        ``"perturbation"`` (all conditions of a drug or gene are held out, combinations with it too), ``"combination"``
        (one combination at a time, by how many of its parts were measured alone), ``"context"`` (one at a time), ``"dose"``
        (of perturbations measured at other doses too), ``"scaffold"``, ``"group"``, ``"random"`` (over conditions:
        optimistic), or a scikit-learn splitter of conditions, whose ``groups`` are those of ``group_key``, or else the
        perturbations.
    methods
        Names in :data:`scgx.selection.RESPONSES` and responses of your own, which are called by their class, in one list; a
        mapping gives other names. ``None``: all that can be run here. Baselines are added: no change, mean change, that of
        the design, mean and similarity-weighted change of the other contexts, sum of single perturbations.
    features
        What is known of each perturbation: one row a name × f. Those of a combination are averaged. Conditions with a name
        that is not in it are left out for all methods, which a warning says and ``frame.attrs["left_out"]`` names.
    layer
        Layer with the expression; ``None`` for ``.X``.
    n_folds
        Folds of perturbations, scaffolds and groups; fewer where there are fewer. A number that is large enough leaves
        one out at a time.
    n_divisions
        Divisions of the control cells. Every method is fitted in each; a single one of 100 cells is off by 0.09 in
        ``pearson_delta``. 0: not divided, the same cells on both sides, which lifts every score; the split is then marked
        ``"shared controls (optimistic)"``.
    dataset
        Name in the result.
    seed
        Seed of divisions, folds and methods.

    Returns
    -------
    Tidy frame with columns ``dataset``, ``split``, ``fold``, ``group``, ``method``, ``role`` (baseline, candidate or
    ceiling), ``metric``, ``value``. Rows with an empty ``group`` score a fold, as means over its conditions: ``pearson`` (raw
    profiles: never alone), ``pearson_delta`` (changes against control), ``pearson_delta_weak``, ``_medium`` and ``_strong``
    (the same in thirds of the conditions by size of the measured change), ``pearson_delta_mean`` (changes less the mean
    training change: what is special to a perturbation), ``mse_top20`` and ``pearson_delta_top20`` (over the 20 genes that
    changed most), ``e_distance`` (squared form, of control cells
    shifted by the predicted change, in 50 principal components of the cells seen in training), ``skill`` (over the
    mean training change) and ``seconds``. ``gap_closed`` is the share of the gap in ``pearson_delta`` between best baseline and
    ceiling, over all folds (fold −1). Rows with a group (perturbation, or what was held out) hold ``pearson_delta``,
    ``pearson_delta_top20`` and ``mse_top20``, and ``squared_error`` and ``reference_squared_error`` for :func:`compare`.

    The ceilings: ``split_half`` (one half of the cells of a condition predicts the other) and ``other_replicate``.
    ``shuffled_pairs`` is a method that was trained on responses permuted over conditions: it must score nothing
    beyond ``mean_delta``.

    Raises
    ------
    KeyError
        If a key is missing.
    ValueError
        If there are no controls (in a context), no perturbation has features, a method cannot be run on these conditions,
        values are not finite, or a splitter puts a group on both sides.

    References
    ----------
    Ahlmann-Eltze, Huber and Anders, Nature Methods 2025 (linear baselines); Viñas Torné et al., Nature Biotechnology
    2025 (Systema: mean of the perturbed as reference).

    Examples
    --------
    >>> import numpy as np, scgx
    >>> from anndata import AnnData
    >>> rng = np.random.default_rng(0)
    >>> adata = AnnData(rng.normal(size=(60, 30)), obs={"drug": np.repeat(["none", "a", "b"], 20)})
    >>> frame = scgx.bm.perturb(adata, perturbation_key="drug", control="none", n_divisions=2)
    >>> table = scgx.bm.summary(frame)
    """
    columns = PerturbationColumns(
        perturbation=perturbation_key,
        control=control,
        separator=separator,
        context=context_key,
        group=group_key,
        dose=dose_key,
        smiles=smiles_key,
        replicate=replicate_key,
        design=tuple(design_keys),
    )
    study = read_study(adata, columns, features=features, layer=layer)
    folds = perturbation_folds(study, columns, split, n_folds=n_folds, seed=seed)
    responses = _responses(study.conditions, methods, seed)
    rows: list[dict[str, Any]] = []
    for k, fold in enumerate(tqdm(folds, desc=f"perturb {dataset}", delay=2)):
        scores, seconds = _score_fold(study, fold, responses, n_divisions, seed)
        title = fold.split if n_divisions else f"{fold.split}, shared controls (optimistic)"
        rows += [{"split": title, "fold": k, **row} for row in _rows(study, fold, scores, seconds)]
    frame = pd.DataFrame(rows)
    frame["role"] = frame["method"].map(_role)
    frame = pd.DataFrame([*frame.to_dict("records"), *_gaps(frame)]).assign(dataset=dataset)
    frame = frame[["dataset", "split", "fold", "group", "method", "role", "metric", "value"]]
    frame.attrs["left_out"] = study.left_out
    return frame


def _responses(conditions: Conditions, methods: Methods | None, seed: int) -> dict[str, BaseResponse]:
    """Baselines and candidates, and one candidate that is trained on shuffled responses."""
    possible = possible_responses(conditions)
    asked = make_responses(possible if methods is None else methods, conditions, seed=seed)
    taken = [name for name in asked if name in (*_CEILINGS, _SHUFFLED)]
    if taken:
        raise ValueError(f"`methods` gives the name {taken[0]!r} to another response; choose another name.")
    baselines = [name for name in RESPONSE_BASELINES if name in possible]
    responses = make_responses(baselines, conditions, seed=seed) | asked
    learning = [name for name in possible if name not in RESPONSE_BASELINES]
    if learning:
        responses[_SHUFFLED] = RESPONSES[learning[0]](seed)
    return responses


def _role(method: str) -> str:
    if method in _CEILINGS:
        return "ceiling"
    return "baseline" if method in (*RESPONSE_BASELINES, _SHUFFLED) else "candidate"


def _score_fold(
    study: Study, fold: Fold, responses: dict[str, BaseResponse], n_divisions: int, seed: int
) -> tuple[dict[str, Scores], dict[str, float]]:
    """Scores of every method, one a tested condition, averaged over divisions of the controls; seconds of each."""
    measured = [study.cells[row] for row in fold.test]
    space = CellSpace(study, fold.test, seed) if min(map(len, measured)) > 1 else None
    seconds = dict.fromkeys(responses, 0.0)
    parts: dict[str, list[Scores]] = {}
    for division in range(max(n_divisions, 1)):
        own_seed = int(np.random.SeedSequence([seed, division]).generate_state(1)[0])
        for_truth, for_prediction = study.control_halves(own_seed if n_divisions else None)
        control = study.control_profile(for_prediction)
        conditions, delta = replace(study.conditions, control=control), study.mean - control
        known, asked = conditions.take(fold.train), conditions.take(fold.test)
        sides = make_sides(study, fold, known, asked, study.control_profile(for_truth), control)
        start_cells = [for_prediction[study.unit[row]] for row in fold.test]
        for name, response in responses.items():
            shuffle = np.random.default_rng(own_seed).permutation
            learned = delta[shuffle(fold.train) if name == _SHUFFLED else fold.train]
            start = time.perf_counter()
            predicted = clone(response).fit(known, learned).predict(asked)
            seconds[name] += time.perf_counter() - start
            scores = score(sides, predicted)
            if space is not None:
                scores["e_distance"] = space.distance(measured, start_cells, predicted)
            parts.setdefault(name, []).append(scores)
        parts.setdefault("split_half", []).append(split_half(study, fold.test, sides, space, own_seed))
        if division == 0:  # replicates have controls of their own, which are not divided
            parts["other_replicate"] = [other_replicate(study, fold.test, sides, space)]
    return {
        name: {m: np.mean([one[m] for one in some], axis=0) for m in some[0]} for name, some in parts.items()
    }, seconds


def _rows(study: Study, fold: Fold, scores: dict[str, Scores], seconds: dict[str, float]) -> Iterator[dict[str, Any]]:
    stratum = _strata(study)[fold.test]
    for method, of_conditions in scores.items():
        if not of_conditions or np.isnan(of_conditions["pearson_delta"]).all():
            continue  # no replicates here
        error, reference = of_conditions["squared_error"], of_conditions["reference_squared_error"]
        values = {m: average(v) for m, v in of_conditions.items() if m not in _PER_GROUP}
        values["skill"] = 1 - np.nansum(error) / np.nansum(reference)
        for k, name in enumerate(_STRATA):
            if (stratum == k).any():
                values[f"pearson_delta_{name}"] = average(of_conditions["pearson_delta"][stratum == k])
        if method in seconds:
            values["seconds"] = seconds[method]
        yield from ({"group": "", "method": method, "metric": m, "value": v} for m, v in values.items())
        by_group = pd.DataFrame({m: of_conditions[m] for m in (*_PER_GROUP, *_GROUP_MEANS)}).groupby(fold.group)
        for metric, aggregate in (*((m, "sum") for m in _PER_GROUP), *((m, "mean") for m in _GROUP_MEANS)):
            for group, value in by_group[metric].agg(aggregate).items():
                yield {"group": group, "method": method, "metric": metric, "value": value}


def _strata(study: Study) -> np.ndarray:
    """Third of each condition by the size of its measured change: 0, 1 or 2."""
    size = np.linalg.norm(study.mean - study.conditions.control, axis=1)
    return np.searchsorted(np.quantile(size, [1 / 3, 2 / 3]), size)


def _gaps(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Share of the gap between best baseline and ceiling of each candidate, by split."""
    rows = frame[(frame["group"] == "") & (frame["metric"] == "pearson_delta")]
    for split, part in rows.groupby("split"):
        mean = part.groupby(["role", "method"])["value"].mean()
        ceilings = [mean["ceiling", name] for name in _CEILINGS if ("ceiling", name) in mean]
        if not ceilings or "candidate" not in mean:
            continue
        for method, value in mean["candidate"].items():
            share = gap_closed(value, mean["baseline"].to_numpy(), ceilings[0])
            row = {"split": split, "fold": -1, "group": "", "method": method, "role": "candidate"}
            yield {**row, "metric": "gap_closed", "value": share}
